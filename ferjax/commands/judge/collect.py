"""``ferjax judge collect``: asks language models about texts."""

import dataclasses
import sys
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from ferjax.commands.console import err, out
from ferjax.config import CollectConfig


@dataclasses.dataclass(frozen=True)
class Collect:
    """Ask language models about texts, any number of times each, and keep every answer whole.

    ferjax judge collect CONFIG --base-url http://127.0.0.1:8080/v1 --model NAME --out RUN

    CONFIG is a Python file that defines `config = CollectConfig(...)` (see
    configs/judge_goemotions.py) or the same as JSON. The server is any that speaks OpenAI's
    protocol: llama.cpp, vLLM, Ollama, a hosted one. It may be killed at any moment: the same
    command asks for what is missing, errors again and answers never. Ctrl-C and SIGTERM wait for
    the requests in flight; a second Ctrl-C does not.
    """

    config: Positional[Path]
    """Configuration file."""
    base_url: str
    """The server's address with the version, e.g. http://127.0.0.1:8080/v1."""
    model: tuple[str, ...]
    """One model of that server, or several."""
    out: Path
    """Folder of the answers; an earlier run's is continued."""
    dry_run: bool = False
    """Say how many requests and tokens it takes, and what they cost, and ask nothing."""
    key_env: str | None = None
    """Environment variable that holds the server's key; without it none is sent."""
    texts: Path | None = None
    """Texts instead of the configuration's: CSV, TSV or JSON lines with id and text."""
    most_texts: int | None = None
    """Only so many of the texts, the first."""
    temperatures: tuple[float, ...] | None = None
    """Instead of the configuration's."""
    samples: int | None = None
    """Answers per text, model and temperature, instead of the configuration's."""
    ask: Literal["samples", "shares", "logprobs"] | None = None
    """Sampled answers, stated shares, or the first token's log-probabilities, instead of the
    configuration's."""
    json_schema: bool | None = None
    """Hold the server to a JSON schema of valid answers, instead of what the configuration says."""
    concurrency: int = 8
    """Requests at once, at most; fewer where the server is overloaded."""
    per_minute: float | None = None
    """Requests a minute, at most."""
    max_requests: int | None = None
    """Stop after so many requests."""
    attempts: int = 6
    """Attempts for an answer before it is left to the next run."""
    timeout: float = 120.0
    """Seconds for a whole request."""
    n: bool = True
    """Ask for several samples in one request, where the server gives them."""
    seeds: bool = True
    """Send every request a seed of its own."""
    price_in: float | None = None
    """Price of a million tokens of prompt, for the estimate."""
    price_out: float | None = None
    """Price of a million tokens of answer, for the estimate."""

    def run(self) -> int:
        from ferjax.commands.display import Console
        from ferjax.config import load_collect_config
        from ferjax.interruption import EXIT_STATUS, Interrupted
        from ferjax.texts import collect
        from ferjax.texts.client import Client, key_from_environment
        from ferjax.texts.estimate import estimate
        from ferjax.texts.items import read_texts

        config = self._changed(load_collect_config(self.config))
        texts = read_texts(config.texts, self.most_texts)
        self._check()
        pace = collect.Pace(
            at_once=self.concurrency,
            per_minute=self.per_minute,
            attempts=self.attempts,
            most_requests=self.max_requests,
            several=self.n,
            seeds=self.seeds,
        )
        expected = estimate(config, texts, self.model, self.out, pace)
        for line in expected.sentences(self.price_in, self.price_out):
            out.print(line, highlight=False, soft_wrap=True)
        client = Client(self.base_url, key_from_environment(self.key_env), self.timeout)
        if self.dry_run:
            return 0
        if client.sends_key_in_the_clear:
            err.print("the key goes to that server unencrypted (http)", highlight=False)
        try:
            with Console() as on_event:
                done = collect.collect(
                    config, texts, self.model, client, self.out, pace=pace, on_event=on_event
                )
        except Interrupted as interrupted:
            err.print(f"{interrupted}; the same command goes on", highlight=False, soft_wrap=True)
            sys.exit(EXIT_STATUS[interrupted.cause])
        except collect.ServerRefuses as refusal:
            err.print(
                f"{refusal}\nall answers are saved; the same command goes on",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            return 3
        return self._tell(done)

    def _changed(self, config: CollectConfig) -> CollectConfig:
        names = ("temperatures", "samples", "ask", "json_schema")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
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

    def _tell(self, done) -> int:  # type: ignore[no-untyped-def]
        left = done.slots - done.answered
        failed = ", ".join(f"{count} {status}" for status, count in done.failed.most_common())
        out.print(
            f"{done.answered:,} of {done.slots:,} answers in {self.out}; {done.requests:,} requests"
            + (f", failed attempts: {failed}" if failed else ""),
            highlight=False,
            soft_wrap=True,
        )
        if left:
            out.print(f"{left:,} are missing; the same command asks for them", highlight=False)
        out.print(f"next: ferjax judge parse {self.out}", highlight=False, soft_wrap=True)
        return 0 if not left or self.max_requests is not None else 3
