"""llama.cpp's own server, with a model of random weights, and with a small real one.

Needs the packages xllamacpp and gguf (extra: llama); for the real model also a .gguf file, named by
FERJAX_GGUF.
"""

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from ferjax.config import CollectConfig
from ferjax.texts import world
from ferjax.texts.answers import judgments_of
from ferjax.texts.client import Client
from ferjax.texts.collect import collect
from ferjax.texts.store import read_answers
from ferjax.texts.throttle import Pace

pytestmark = pytest.mark.slow
TEXTS = world.make(4, 0).texts
CONFIG = CollectConfig(
    "", ("joy", "anger", "neutral"), none_label="neutral", samples=3, max_tokens=40
)


def write_random_model(path, width=64, blocks=2, inner=128):
    """A Llama of random weights whose tokens are single bytes."""
    gguf = pytest.importorskip("gguf")
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_block_count(blocks)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.BYTE] * 256]
    writer.add_token_types(kinds)
    writer.add_add_space_prefix(False)  # a grammar must find the prompt as it was written
    rng = np.random.default_rng(0)
    square = {f"attn_{part}": (width, width) for part in ("q", "k", "v", "output")}
    shapes = {"token_embd": (len(tokens), width), "output": (len(tokens), width)}
    for block in range(blocks):
        wide = {"ffn_gate": (inner, width), "ffn_up": (inner, width), "ffn_down": (width, inner)}
        shapes |= {f"blk.{block}.{name}": shape for name, shape in (square | wide).items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(0, 0.3, shape).astype(np.float32))
    norms = [f"blk.{k}.{part}_norm" for k in range(blocks) for part in ("attn", "ffn")]
    for name in [*norms, "output_norm"]:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def start(model):
    """A server of one slot on a free port; it ends with the process."""
    xllamacpp = pytest.importorskip("xllamacpp")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = 1
    params.n_ctx = 2048
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    return xllamacpp.Server(params), f"http://127.0.0.1:{port}/v1"


@pytest.fixture(scope="module")
def random_server(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "random.gguf"
    write_random_model(path)
    assert path.stat().st_size < 600_000
    server, url = start(path)
    yield url
    del server


def ask(url, folder, config):
    with Client(url, timeout=60) as client:
        return collect(config, TEXTS, ("m",), client, folder, pace=Pace(at_once=1))


def replaced(**change):
    from dataclasses import replace

    return replace(CONFIG, **change)


@pytest.mark.llama
def test_gibberish_is_kept_whole_and_unparsed(random_server, tmp_path):
    done = ask(random_server, tmp_path, CONFIG)
    assert done.answered == 4 * 2 * 3
    parsed = judgments_of(tmp_path)
    assert parsed.judgments.unparsed.sum() == parsed.answers == 24
    assert set(parsed.unparsed) <= {"cut", "empty", "no JSON in it", "no label in it"}
    raw = {line["raw"] for line in read_answers(tmp_path) if line["status"] != "http"}
    assert len(raw) > 12


@pytest.mark.llama
def test_under_a_schema_every_answer_is_valid(random_server, tmp_path):
    done = ask(random_server, tmp_path, replaced(json_schema=True, kind="single", max_tokens=60))
    assert done.answered == 24
    parsed = judgments_of(tmp_path)
    # White space without end is valid JSON too, so that some answers are cut.
    assert set(parsed.unparsed) <= {"cut"}
    assert parsed.judgments.answered.sum() >= 12
    assert (parsed.judgments.counts.sum(-1) == parsed.judgments.answered).all()


@pytest.mark.llama
def test_the_first_tokens_log_probabilities(random_server, tmp_path):
    config = replaced(ask="logprobs", kind="single", samples=1, temperatures=(1.0,))
    assert ask(random_server, tmp_path, config).answered == 4
    # A first token that is the end, or no whole character, has none.
    given = [line["logprobs"] for line in read_answers(tmp_path) if "logprobs" in line]
    assert len(given) >= 2
    assert {len(tokens) for tokens in given} == {20}


@pytest.mark.real_model
def test_a_real_model(tmp_path):
    model = os.environ.get("FERJAX_GGUF", "")
    if not Path(model).is_file():
        pytest.skip("FERJAX_GGUF names no .gguf file")
    server, url = start(model)
    done = ask(url, tmp_path, replaced(json_schema=True, samples=2))
    assert done.answered == 16
    parsed = judgments_of(tmp_path)
    assert set(parsed.unparsed) <= {"cut"}
    assert parsed.judgments.answered.sum() >= 12
    del server
