"""Everybody: keyboard, screen reader, phone and desktop, light and dark."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright.sync_api")
pytest.importorskip("axe_playwright_python")

from axe_playwright_python.sync_playwright import Axe
from page_driver import PERSONAL
from playwright.sync_api import expect
from sample_photos import sample_files
from states import OWNED_STATES, PLAIN_STATES, STATES, WINDOWS, name_of, stop_motion

LEAST_TARGET = 44
ONLY_VIOLATIONS = {"resultTypes": ["violations"], "preload": False}  # of what passes axe need not tell every place


@pytest.mark.parametrize("state", [*STATES, *PLAIN_STATES, *OWNED_STATES], ids=name_of)
def test_a_state_is_accessible_and_fits(visit, verifier, state):
    """One walk to each state, and one look by axe, for all that is to be seen there: these take time."""
    axe = Axe()
    if state in OWNED_STATES:
        verifier.weights, verifier.known_photos = PERSONAL, 15
    window = visit(reduced_motion="reduce", **WINDOWS["phone"])
    if state in PLAIN_STATES:  # with JavaScript off, axe would not run either
        window.context.route("**/static/js/*", lambda route: route.abort())
    state(window, sample_files())
    stop_motion(window)
    assert small_targets(window) == []
    # Colours are all that differs between the two schemes.
    for scheme, rules in {"light": {}, "dark": {"runOnly": ["color-contrast"]}}.items():
        window.page.emulate_media(color_scheme=scheme)
        found = axe.run(window.page, options=ONLY_VIOLATIONS | rules)
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"
    for size in WINDOWS.values():
        window.page.set_viewport_size(size["viewport"])
        assert window.sideways_scroll() <= 0


def small_targets(window) -> list[str]:
    """Return the controls that a thumb could miss; links inside sentences may be small."""
    return window.page.evaluate(
        """(least) => [...document.querySelectorAll("button, summary, input, label.button, .site-nav a, .brand")]
          .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest("dialog:not([open])"))
          .filter((one) => !one.matches(".tick input, .radio input, .face-choice"))
          .filter((one) => getComputedStyle(one).clipPath === "none")
          .map((one) => [one, one.getBoundingClientRect()])
          .filter(([, box]) => box.height < least - 0.5 || box.width < least - 0.5)
          .map(([one, box]) => `${one.outerHTML.slice(0, 80)} ${box.width} × ${box.height}`)""",
        LEAST_TARGET,
    )


def test_everything_can_be_done_by_keyboard_alone(visit, group_photo, hopper_file):
    window = visit().open()
    press = window.page.keyboard.press
    walk_to(window, "#consent-box")
    press("Space")
    walk_to(window, "#age-box")
    press("Space")
    walk_to(window, "#consent-form button")
    press("Enter")
    expect(window.find("#photos-heading")).to_be_focused()
    walk_to(window, "#reference-file")
    with window.page.expect_file_chooser() as chooser:
        press("Enter")
    chooser.value.set_files({"name": "group.jpg", "mimeType": "image/jpeg", "buffer": group_photo})
    window.settled("reference")
    walk_to(window, '[aria-label^="Face 2 of 2"]', backwards=True)
    press("Enter")
    expect(window.find("#reference-note")).to_contain_text("face 2 from the left is compared")
    walk_to(window, "#probe-file")
    with window.page.expect_file_chooser() as chooser:
        press("Space")
    chooser.value.set_files(hopper_file)
    window.settled("probe")
    walk_to(window, "#compare")
    press("Enter")
    expect(window.find("#result-heading")).to_be_focused()
    walk_to(window, "#result [data-start-over]")
    press("Enter")
    expect(window.find("#photos-heading")).to_be_focused()


def walk_to(window, selector: str, backwards: bool = False) -> None:
    """Press Tab until an element has the focus, and hold that its focus can be seen."""
    for _ in range(40):
        window.page.keyboard.press("Shift+Tab" if backwards else "Tab")
        if window.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            break
    else:
        raise AssertionError(f"{selector} is out of the keyboard's reach")
    assert window.page.evaluate(HAS_RING), f"the focus on {selector} cannot be seen"


# A file field's ring is drawn around the label that stands for it, its next sibling.
HAS_RING = """() => [document.activeElement, document.activeElement.nextElementSibling].some((one) => {
  const style = one && getComputedStyle(one);
  return style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
})"""


def test_motion_is_reduced_on_request(visit, hopper_file):
    window = visit(reduced_motion="reduce").agree().choose("reference", hopper_file)
    moving = "() => document.getAnimations().filter((one) => one.effect.getTiming().duration > 10).length"
    assert window.page.evaluate(moving) == 0


def test_the_page_loads_from_its_own_server_alone(visit, server):
    # What every other test holds at its end, told apart: pages, styles, scripts, pictures.
    window = visit()
    for path in ("/", "/privacy", "/api/docs"):
        window.open(path)
    assert {url.split("/")[2] for url in window.requests} == {f"localhost:{server.port}"}


def test_docs_list_every_request_and_every_code(visit, server):
    from flaskapp.web import openapi

    window = visit().open("/api/docs")
    for path in openapi.describe()["paths"]:
        expect(window.page.locator(".operation h3 code", has_text=path).first).to_be_visible()
    for problem in openapi.every_problem():
        expect(window.find(f"#problem-{problem.code}")).to_contain_text(problem.title)
