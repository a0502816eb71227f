"""``ferjax judge collect``: asks language models about texts."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from ferjax.commands import inputs
from ferjax.commands.arguments import File, Number, OptionalNumber, Word
from ferjax.commands.console import err, out
from ferjax.commands.inputs import Reads
from ferjax.config import CollectConfig

if TYPE_CHECKING:
    from ferjax.texts.collect import Collected


@dataclasses.dataclass(frozen=True)
class Collect:
    """Ask language models about texts, any number of times each, and keep every answer whole.

        ferjax judge collect CONFIG --base-url http://127.0.0.1:8080/v1 \\
          --model NAME --out RUN

    CONFIG is a Python file that defines `config = CollectConfig(...)` (see
    configs/judge_goemotions.py) or the same as JSON. Texts are CSV, TSV or JSON lines with id and
    text:

        id,text
        t1,what a day

    The server is any that speaks OpenAI's
    protocol: llama.cpp, vLLM, Ollama, a hosted one. It may be killed at any moment: the same
    command asks for what is missing, errors again and answers never. Ctrl-C and SIGTERM wait for
    the requests in flight; a second Ctrl-C does not.
    """

    config: Annotated[Positional[str], arg(metavar="CONFIG"), Reads(inputs.config)]
    """What is asked: a configuration file, or the name of one that comes along."""
    base_url: Annotated[str, arg(metavar="URL")]
    """The server's address with the version, e.g. http://127.0.0.1:8080/v1."""
    model: Annotated[tuple[str, ...], arg(metavar="NAME...")]
    """One model of that server, or several."""
    out: Annotated[Path, arg(metavar="FOLDER")]
    """Folder of the answers; an earlier run's is continued."""
    dry_run: bool = False
    """Say how many requests and tokens it takes, and what they cost, and ask nothing."""
    key_env: Word = None
    """Environment variable that holds the server's key. Without it none is sent."""
    texts: File = None
    """Texts instead of the configuration's: CSV, TSV or JSON lines with id and text."""
    most_texts: OptionalNumber = None
    """Only so many of the texts, the first."""
    temperatures: Annotated[
        tuple[float, ...] | None, arg(metavar="T...", help_behavior_hint="")
    ] = None
    """Instead of the configuration's."""
    samples: OptionalNumber = None
    """Answers per text, model and temperature, instead of the configuration's."""
    ask: Annotated[
        Literal["samples", "shares", "logprobs"] | None,
        arg(metavar="samples|shares|logprobs", help_behavior_hint=""),
    ] = None
    """Sampled answers, shares that the model states, or the first token's log-probabilities,
    instead of the configuration's."""
    json_schema: bool = False
    """Hold the server to a JSON schema of valid answers, whatever the configuration says."""
    concurrency: Number = 8
    """Requests at once, at most; fewer where the server is overloaded."""
    per_minute: OptionalNumber = None
    """Requests a minute, at most."""
    max_requests: OptionalNumber = None
    """Stop after so many requests."""
    attempts: Number = 6
    """Attempts for an answer before it is left to the next run."""
    timeout: Annotated[float, arg(metavar="SECONDS")] = 120.0
    """Seconds for a whole request."""
    n: bool = True
    """Ask for several samples in one request, where the server gives them."""
    seeds: bool = True
    """Send every request a seed of its own."""
    price_in: Annotated[float | None, arg(metavar="PRICE", help_behavior_hint="")] = None
    """Price of a million tokens of prompt, for the estimate."""
    price_out: Annotated[float | None, arg(metavar="PRICE", help_behavior_hint="")] = None
    """Price of a million tokens of answer, for the estimate."""

    def run(self) -> int:
        from ferjax.commands.display import Console
        from ferjax.config import load_collect_config
        from ferjax.interruption import EXIT_STATUS, Interrupted
        from ferjax.texts import collect
        from ferjax.texts.client import Client, key_from_environment
        from ferjax.texts.estimate import estimate
        from ferjax.texts.items import read_texts
        from ferjax.texts.throttle import Pace

        config = self._changed(load_collect_config(self.config))
        texts = read_texts(config.texts, self.most_texts)
        self._check()
        pace = Pace(
            at_once=self.concurrency,
            per_minute=self.per_minute,
            attempts=self.attempts,
            most_requests=self.max_requests,
            several=self.n,
            seeds=self.seeds,
        )
        expected = estimate(config, texts, self.model, self.out, pace)
        for line in expected.sentences(self.price_in, self.price_out):
            out.print(line)
        client = Client(self.base_url, key_from_environment(self.key_env), self.timeout)
        if self.dry_run:
            out.print("next: the same command without --dry-run asks")
            return 0
        if client.sends_key_in_the_clear:
            err.print("the key goes to that server unencrypted (http)")
        try:
            with Console() as on_event:
                done = collect.collect(
                    config, texts, self.model, client, self.out, pace=pace, on_event=on_event
                )
        except Interrupted as interrupted:
            err.print(f"{interrupted}; the same command goes on")
            sys.exit(EXIT_STATUS[interrupted.cause])
        except collect.ServerRefuses as refusal:
            err.print(
                f"{refusal}\nall answers are saved; the same command goes on",
            )
            return 3
        return self._tell(done)

    def _changed(self, config: CollectConfig) -> CollectConfig:
        names = ("temperatures", "samples", "ask")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.json_schema:
            given["json_schema"] = True
        if self.texts is not None:
            given["texts"] = str(self.texts)
        return dataclasses.replace(config, **given)

    def _check(self) -> None:
        for name in ("concurrency", "attempts", "timeout", "per_minute", "most_texts"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"--{name.replace('_', '-')} must be more than 0, got {value}")
        if not self.model or len(set(self.model)) < len(self.model):
            raise ValueError(f"--model: expected different names, got {' '.join(self.model)}")

    def _tell(self, done: "Collected") -> int:
        left = done.slots - done.answered
        failed = ", ".join(f"{count} {status}" for status, count in done.failed.most_common())
        out.print(
            f"{done.answered:,} of {done.slots:,} answers in {self.out}; {done.requests:,} requests"
            + (f", failed attempts: {failed}" if failed else ""),
        )
        if left:
            out.print(f"{left:,} are missing; the same command asks for them")
        out.print(f"next: ferjax judge parse {self.out}")
        return 0 if not left or self.max_requests is not None else 3
