// Photos that are dropped or pasted.

const NOT_A_FILE = {
  code: "not_a_file",
  detail: "That is not a file.",
  hint: "Web addresses are never opened. Save the picture first, then choose the file.",
};
const ONE_AT_A_TIME = { code: "several_files", detail: "That is more than one file.", hint: "Add one photo at a time." };
const NOTHING_TO_PASTE = {
  code: "nothing_to_paste",
  detail: "The clipboard holds no picture.",
  hint: "Copy a picture first, or choose a file.",
};
const CLIPBOARD_CLOSED = {
  code: "clipboard_closed",
  detail: "Your browser did not let this page read the clipboard.",
  hint: "Press Ctrl+V (on a Mac ⌘V) instead.",
};

/** Let photos be dropped on slots, and keep the browser from opening those that miss. */
export function acceptDrops(slots, isOpen) {
  for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());
  for (const slot of slots) {
    let depth = 0; // children send leave events too
    const mark = () => slot.drop.classList.toggle("over", depth > 0 && isOpen());
    slot.root.addEventListener("dragenter", () => { depth += 1; mark(); });
    slot.root.addEventListener("dragleave", () => { depth -= 1; mark(); });
    slot.root.addEventListener("drop", (event) => {
      depth = 0;
      mark();
      if (isOpen()) takeFrom(event.dataTransfer, slot, NOT_A_FILE);
    });
  }
}

/** Let photos be pasted: into the slot that holds the focus, else into the first empty one. */
export function acceptPaste(slots, isOpen) {
  document.addEventListener("paste", (event) => {
    if (!isOpen() || !event.clipboardData) return;
    event.preventDefault();
    takeFrom(event.clipboardData, slotForPaste(slots), NOTHING_TO_PASTE);
  });
  for (const slot of slots) {
    const button = slot.root.querySelector("[data-paste]");
    button.hidden = !navigator.clipboard?.read;
    button.addEventListener("click", () => pasteInto(slot));
  }
}

function slotForPaste(all) {
  const slots = all.filter((slot) => !slot.root.hidden); // live comparison shows one of them alone
  return slots.find((slot) => slot.root.contains(document.activeElement)) ?? slots.find((slot) => !slot.file) ?? slots.at(-1);
}

function takeFrom(transfer, slot, complaint) {
  const files = [...transfer.files];
  if (files.length && slot.takeAll) slot.takeAll(files);
  else if (files.length === 1) slot.take(files[0]);
  else slot.refuse(files.length ? ONE_AT_A_TIME : complaint);
}

async function pasteInto(slot) {
  let items;
  try {
    items = await navigator.clipboard.read();
  } catch {
    slot.refuse(CLIPBOARD_CLOSED);
    return;
  }
  for (const item of items) {
    const type = item.types.find((name) => name.startsWith("image/"));
    if (type) {
      slot.take(new File([await item.getType(type)], "pasted", { type }));
      return;
    }
  }
  slot.refuse(NOTHING_TO_PASTE);
}
