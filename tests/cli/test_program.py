"""What all commands share: help, exit codes of accidents, progress bars, what a start costs."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from weights_files import write_weights_files

from flaskapp.cli import options, progress
from flaskapp.cli.program import main
from flaskapp.errors import FacialRecognitionError

ROOT = Path(__file__).resolve().parents[2]
PORTRAITS = ROOT / "tests" / "portraits"
COMMANDS = sorted(main.commands)
VARIABLE = "_FACIAL_RECOGNITION_COMPLETE"


def commands_shown(text: str) -> list[list[str]]:
    """Return the command lines of a help text, split into words."""
    lines = re.findall(r"^.*?facial-recognition (.*)$", text, re.MULTILINE)
    return [line.split(" | ")[0].split(" > ")[0].split() for line in lines if line]


class TestHelp:
    def test_every_command_is_there(self):
        assert COMMANDS == [
            "augment",
            "capture",
            "compare",
            "detect",
            "evaluate",
            "find",
            "forget",
            "serve",
            "train",
        ]

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_teaches_by_example(self, command):
        result = CliRunner().invoke(main, [command, "--help"])
        assert result.exit_code == 0
        _, _, examples = result.stdout.partition("Examples:")
        shown = [words for words in commands_shown(examples) if words[0] == command]
        assert len(shown) >= 2
        known = {name for option in main.commands[command].params for name in option.opts}
        for words in shown:
            assert {word for word in words if word.startswith("--")} <= known

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_option_is_explained(self, command):
        unexplained = [
            parameter.opts
            for parameter in main.commands[command].params
            if isinstance(parameter, click.Option) and not parameter.help
        ]
        assert unexplained == []

    def test_the_program_teaches_by_example(self):
        told = CliRunner().invoke(main, ["--help"]).stdout
        assert {words[0] for words in commands_shown(told)} >= {"compare", "detect", "evaluate", "serve"}

    def test_no_line_is_wider_than_a_terminal(self):
        for arguments in ([], *([command] for command in COMMANDS)):
            told = CliRunner().invoke(main, [*arguments, "--help"], terminal_width=100).stdout
            assert max(map(len, told.splitlines())) <= 100

    def test_the_version(self):
        assert CliRunner().invoke(main, ["--version"]).stdout.startswith("facial-recognition, version ")

    def test_an_unknown_command(self):
        result = CliRunner().invoke(main, ["recognise"])
        assert (result.exit_code, "No such command" in result.stderr) == (2, True)


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_each_shell_gets_a_script_of_its_own(self, shell):
        result = CliRunner().invoke(main, [], prog_name="facial-recognition", env={VARIABLE: f"{shell}_source"})
        assert result.exit_code == 0
        assert f"{VARIABLE}={shell}_complete" in result.stdout

    @pytest.mark.parametrize(("words", "follows"), [("eva", "evaluate"), ("evaluate --rep", "--report")])
    def test_it_asks_for_what_there_is(self, words, follows):
        count = str(len(words.split()))
        asked = {"COMP_WORDS": f"facial-recognition {words}", "COMP_CWORD": count, VARIABLE: "bash_complete"}
        told = CliRunner().invoke(main, [], prog_name="facial-recognition", env=asked).stdout
        assert told == f"plain,{follows}\n"


class TestAccidents:
    """No accident may look like a verdict: 0, 1 and 3 are taken."""

    def invoke(self, monkeypatch, error: BaseException):
        def fail(*_):
            raise error

        photo = PORTRAITS / "grace_hopper.jpg"
        monkeypatch.setattr("flaskapp.verifier.Verifier.verify", fail)
        return CliRunner().invoke(main, ["compare", str(photo), str(photo)])

    def test_an_error_of_ours_is_its_message_and_hint(self, monkeypatch):
        result = self.invoke(monkeypatch, FacialRecognitionError("It broke.", "Mend it."))
        assert (result.exit_code, result.stderr) == (2, "Error: It broke. Mend it.\n")

    def test_an_error_of_the_system_names_the_file(self, monkeypatch):
        result = self.invoke(monkeypatch, PermissionError(13, "Permission denied", "/somewhere"))
        assert (result.exit_code, result.stderr) == (2, "Error: /somewhere: Permission denied.\n")

    def test_a_full_disk(self, monkeypatch):
        result = self.invoke(monkeypatch, OSError(28, "No space left on device"))
        assert (result.exit_code, result.stderr) == (2, "Error: the answer or a file: No space left on device.\n")

    def test_ctrl_c(self, monkeypatch):
        result = self.invoke(monkeypatch, KeyboardInterrupt())
        assert (result.exit_code, result.stderr) == (130, "Stopped.\n")

    @pytest.mark.parametrize("error", [ValueError("pixels [[1 2 3]]"), RecursionError(), KeyError(0)])
    def test_a_bug_says_where_and_nothing_of_the_data(self, monkeypatch, error):
        result = self.invoke(monkeypatch, error)
        assert result.exit_code == 70
        assert result.stderr == (
            f"Error: this should not have happened ({type(error).__name__} in fail, line {_line_of(error)})."
            " Please report it.\n"
        )


def _line_of(error: BaseException) -> int:
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    return trace.tb_lineno


class TestOptions:
    def test_names_are_shown_without_what_could_steer_a_terminal(self):
        assert options.shown(Path("a\x1b[2Jb\nc.jpg")) == "a�[2Jb�c.jpg"

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such names cannot exist")
    def test_names_that_are_no_text_can_be_shown(self):
        assert options.shown(Path(os.fsdecode(b"\xff.jpg"))) == "�.jpg"

    def test_figures_are_of_the_kinds_that_can_be_drawn(self):
        pytest.importorskip("matplotlib")
        from flaskapp.plots.style import FORMATS

        assert tuple(FORMATS) == options.FIGURE_SUFFIXES

    @pytest.mark.parametrize(
        "arguments",
        [
            ["compare", "a.png", "b.png", "--plot", "a.png"],
            ["compare", "a.png", "b.png", "--plot", "sub/../b.png"],
            ["evaluate", "--scores-from", "a.png", "--json", "a.png"],
        ],
    )
    def test_what_is_read_is_not_written_over(self, tmp_path, monkeypatch, arguments):
        pytest.importorskip("matplotlib")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "sub").mkdir()
        for name in ("a.png", "b.png"):
            (tmp_path / name).write_bytes(b"dear to me")
        told = CliRunner().invoke(main, arguments)
        assert told.exit_code == 2
        assert "would be overwritten" in told.output
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes() == b"dear to me"

    @pytest.mark.parametrize("command", COMMANDS)
    def test_an_empty_path_is_refused_wherever_one_is_asked_for(self, command):
        for param in main.commands[command].params:
            if isinstance(param.type, click.Path):
                with pytest.raises(click.BadParameter, match="empty"):
                    param.type.convert("", param, None)

    @pytest.mark.parametrize(
        ("suffixes", "said"), [((".h5",), "in .h5."), ((".png", ".svg", ".pdf"), "in .png, .svg or .pdf.")]
    )
    def test_how_a_name_may_end_is_said(self, suffixes, said):
        with pytest.raises(click.BadParameter, match=re.escape(said)):
            options.Output(*suffixes).convert("a.gif", None, None)

    def test_a_new_folder_may_lie_in_a_new_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        convert = options.OUTPUT_FOLDER.convert
        assert convert("a/b/c", None, None) == Path("a/b/c")
        (tmp_path / "a").touch()
        with pytest.raises(click.BadParameter, match="cannot be written"):
            convert("a/b/c", None, None)

    @pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
    @pytest.mark.parametrize("kind", [options.OUTPUT_FILE, options.OUTPUT_FOLDER], ids=["file", "folder"])
    def test_links_that_cannot_be_written_are_noticed_before_the_work(self, tmp_path, monkeypatch, kind):
        monkeypatch.chdir(tmp_path)
        Path("loop").symlink_to("loop")
        Path("dangling").symlink_to("no/such/folder")
        for name in ("loop", "dangling"):
            with pytest.raises(click.BadParameter, match=f"{name} cannot be written"):
                kind.convert(name, None, None)

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no such folder")
    @pytest.mark.parametrize("kind", [options.OUTPUT_FILE, options.OUTPUT_FOLDER], ids=["file", "folder"])
    def test_a_folder_that_allows_writing_in_name_only_is_noticed_before_the_work(self, kind):
        with pytest.raises(click.BadParameter, match="cannot be written"):
            kind.convert("/proc/new", None, None)

    @pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
    def test_what_can_be_written_through_a_link_may_be(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("new").symlink_to("where it goes")
        Path("nothing").symlink_to(os.devnull)
        reading, writing = os.pipe()
        for name in ("new", "nothing", f"/dev/fd/{writing}"):
            assert options.OUTPUT_FILE.convert(name, None, None) == Path(name)
        os.close(reading)
        os.close(writing)

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_allows_no_writing_is_named(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(click.BadParameter, match="allows no writing"):
            options.OUTPUT_FILE.convert(tmp_path / "x", None, None)


class Terminal(io.StringIO):
    """Stands in for standard error while a test runs; set there, as pytest sets its own before."""

    def __init__(self, monkeypatch) -> None:
        super().__init__()
        monkeypatch.setattr(sys, "stderr", self)

    def isatty(self) -> bool:
        return True


class TestProgress:
    def test_items_pass_through(self, capsys):
        assert list(progress.progress_bar("Reading", "photos")("abc")) == ["a", "b", "c"]
        with click.Context(main):
            progress.share_bar("Learning")(0.5)
        assert capsys.readouterr() == ("", ""), "where there is no terminal, nothing is written"

    def test_nothing_to_do_is_no_trouble(self, monkeypatch):
        Terminal(monkeypatch)
        assert list(progress.progress_bar("Reading", "photos")([])) == []

    def test_a_terminal_sees_how_far_and_how_fast(self, monkeypatch):
        terminal = Terminal(monkeypatch)
        for _ in progress.progress_bar("Reading", "photos")(range(3)):
            time.sleep(0.01)
        told = terminal.getvalue()
        assert "Reading" in told
        assert "3/3" in told
        assert re.search(r"\d photos/s", told)

    def test_a_run_shows_how_much_of_its_way_is_gone(self, monkeypatch):
        terminal = Terminal(monkeypatch)
        with click.Context(main):
            moved = progress.share_bar("Learning")
            for share in (0.5, 0.75, 0.999):
                moved(share)
        percents = [int(percent) for percent in re.findall(r"(\d+)%", terminal.getvalue())]
        assert percents == sorted(percents)
        assert {50, 75, 99} <= set(percents)


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """Return a script that is the program with random weights."""
    folder = tmp_path_factory.mktemp("program")
    weights = write_weights_files(folder, band=(0.0, 0.0))
    script = folder / "program.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from flaskapp.cli.program import main\nfrom flaskapp.weights import runtime\n"
        f"runtime.default_weights_path = lambda: Path({str(weights)!r})\n"
        "try:\n    main.main(sys.argv[1:])\nfinally:\n"
        "    print(*sorted(sys.modules), file=open(sys.argv[0] + '.modules', 'w'))\n"
    )
    return script


def start(program: Path, *arguments: str | Path, **settings) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, program, *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings
    )


class TestProcesses:
    def test_compare_loads_nothing_of_training_or_drawing(self, program):
        process = start(program, "compare", PORTRAITS / "grace_hopper.jpg", PORTRAITS / "grace_hopper.jpg")
        output, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
        assert output.startswith("match")
        loaded = {name.partition(".")[0] for name in Path(f"{program}.modules").read_text().split()}
        assert not loaded & {"tensorflow", "keras", "torch", "jax", "matplotlib", "flask", "scipy"}

    def test_the_help_loads_nothing_heavy(self):
        code = (
            "import sys\nfrom flaskapp.cli.program import main\n"
            "try:\n    main.main(['compare', '--help'])\nfinally:\n    print(*sys.modules, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert not set(done.stderr.split()) & {"numpy", "cv2", "PIL", "h5py", "onnx", "onnxruntime", "flask"}

    @pytest.mark.skipif(os.name != "posix", reason="homes are named otherwise elsewhere")
    def test_a_home_that_cannot_be_written_is_no_matter_for_a_picture(self, program, tmp_path, monkeypatch):
        pytest.importorskip("matplotlib")
        monkeypatch.delenv("MPLCONFIGDIR", raising=False)
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            monkeypatch.setenv(name, os.devnull)
        process = start(program, "detect", PORTRAITS / "grace_hopper.jpg", "--plot", tmp_path / "boxes")
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
        assert (tmp_path / "boxes" / "grace_hopper.faces.png").exists()

    def test_training_without_the_extra_says_how_to_get_it(self, tmp_path):
        code = "import sys\nsys.modules['keras'] = None\nfrom flaskapp.cli.program import main\nmain(sys.argv[1:])"
        command = [sys.executable, "-c", code, "train", "--me", str(tmp_path), "--out", str(tmp_path / "model")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "keras" in done.stderr
        assert 'pip install -e ".[train]"' in done.stderr

    @pytest.mark.skipif(os.name != "posix", reason="a pipe as a file name is a Unix habit")
    def test_a_photo_may_come_through_a_pipe(self, program):
        reading, writing = os.pipe()
        photo = PORTRAITS / "eileen_collins.jpg"
        process = start(program, "compare", f"/dev/fd/{reading}", photo, pass_fds=[reading])
        os.close(reading)
        with os.fdopen(writing, "wb") as file:
            file.write(photo.read_bytes())
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")

    @pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["compare", "no.jpg", "no.jpg"], 2)])
    def test_it_ends_at_once_with_the_same_code(self, arguments, code):
        command = [sys.executable, "-m", "flaskapp.cli", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        same = CliRunner().invoke(main, arguments, prog_name="facial-recognition")
        assert (done.returncode, done.stdout, done.stderr) == (code, same.stdout, same.stderr)
        assert same.exit_code == code

    def test_what_it_printed_reaches_a_file(self, tmp_path):
        command = [sys.executable, "-m", "flaskapp.cli", "detect", "--json", *[PORTRAITS / "grace_hopper.jpg"] * 2]
        with (tmp_path / "out.json").open("w") as file:
            subprocess.run(command, cwd=ROOT, stdout=file, check=True)
        assert len(json.loads((tmp_path / "out.json").read_text())) == 2
