"""Events in words: plain lines in a pipe, a table and a bar in a terminal."""

import io

from rich.console import Console as RichConsole

from ferjax.commands import display
from ferjax.commands.display import budget_lines, members_table, sentence
from ferjax.ensemble.cost import Budget
from ferjax.events import LogLine, Message, Progress

LINE = {
    "epoch": 1,
    "step": 5,
    "loss": [2.0, 1.0],
    "train_accuracy": [0.5, 0.5],
    "skipped": [0, 4],
    "restored": [False, True],
    "frozen": [False, True],
    "valid_accuracy": [0.5, None],
    "valid_ensemble_accuracy": 0.5,
    "seconds": 1.0,
    "member_faces_per_second": 1234.0,
}


def test_a_line_in_words():
    assert sentence(LINE, 7) == (
        "epoch     1/7  step      5  loss 1.5000  valid accuracy: members 0.500 -, ensemble 0.500  "
        "1,234 member-faces/s"
    )


def test_a_line_as_a_table_with_further_columns():
    table = members_table(LINE, (11, 12), {"note": ["a", "b"]})
    rows = [list(column.cells)[1] for column in table.columns]
    assert rows == ["1", "12", "1.0000", "0.500", "-", "4, frozen", "b"]


def test_in_a_pipe_there_are_lines_and_no_bar(capsys):
    with display.Console() as on_event:
        on_event(Message("a [sentence]"))
        on_event(Progress("training", 0.5, "note"))
        on_event(LogLine({**LINE, "frozen": [False, False]}, (11, 12), 7))
        on_event(LogLine({**LINE, "skipped": [1, 8]}, (11, 12), 7))
    first, task, line, restored, again, skipped, frozen = capsys.readouterr().err.splitlines()
    assert (first, task) == ("a [sentence]", "training")
    assert (line, again) == (sentence(LINE, 7), sentence(LINE, 7))
    assert restored == (
        "member 1 (seed 12): 4 steps skipped for a non-finite loss or gradient; set back to its "
        "best parameters"
    )
    assert skipped == "member 0 (seed 11): 1 steps skipped for a non-finite loss or gradient"
    assert frozen.startswith("member 1 (seed 12) is frozen")


def test_in_a_pipe_a_long_task_tells_now_and_then_how_far_it_is(capsys, monkeypatch):
    seconds = iter([100.0, 101.0, 119.0, 121.0, 122.0, 200.0, 201.0])
    monkeypatch.setattr(display.time, "monotonic", lambda: next(seconds))
    with display.Console() as on_event:
        for done in (0.0, 0.1, 0.2, 0.3, 0.4, 1.0):
            on_event(Progress("predicting 72 conditions", done, "blur_3"))
        on_event(Progress("another task", 0.0))
    assert capsys.readouterr().err.splitlines() == [
        "predicting 72 conditions",
        "predicting 72 conditions: 30 %  blur_3",
        "another task",
    ]


def test_in_a_terminal_the_table_stays_above_a_bar_that_goes(monkeypatch):
    stream = io.StringIO()
    terminal = RichConsole(file=stream, force_terminal=True, width=200)
    monkeypatch.setattr(display, "_stderr", terminal)
    with display.Console() as on_event:
        on_event(Progress("densities", 0.5))
        on_event(Progress("training", 0.25, "epoch 1/7"))
        without_epoch = {name: LINE[name] for name in LINE if not name.startswith("valid_")}
        on_event(LogLine(without_epoch, (11, 12), 7))
        on_event(Progress("training", 0.5, "epoch 2/7"))
    text = stream.getvalue()
    assert "densities" in text and "training" in text and "epoch 2/7" in text
    assert "train accuracy" in text  # the table
    assert sentence(without_epoch, 7) not in text
    assert text.endswith("\x1b[2K")  # the bar is erased


def test_a_budget_in_words():
    lines = budget_lines(Budget(1000, 2000, 3e9, 9e9, 2**20, 2**21, 2**22, "here"))
    assert lines == [
        "parameters: 1,000 per member, 2,000 in the trunk all members share",
        "per face and member: 3.000 GFLOP forward, 9.000 GFLOP per training step",
        "layout: here",
        "memory per device: about 7 MiB (state 1, data 2, activations 4)",
    ]
