"""Sentence embeddings: against transformers with random weights, and folders that are none."""

import json
import shutil

import jax
import numpy as np
import pytest

from ferjax.cli import main
from ferjax.models import bert
from ferjax.models.sentences import SentenceEncoder
from ferjax.texts.embeddings import read_embeddings, read_words, write_embeddings

tokenizers = pytest.importorskip("tokenizers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "so", "happy", "sad", "the", "day", "was", "it", "not"]
WORDS += ["joy", "!"]
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "vocab_size": len(WORDS),
}
TEXTS = ["So happy !", "the day was not so happy !", "it was sad " * 30, "joy"]


def write_folder(folder, state, pooling="mean_tokens", unit=True):
    """A folder as sentence-transformers publish them."""
    from safetensors.numpy import save_file

    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **SIZES}))
    (folder / "1_Pooling/config.json").write_text(json.dumps({f"pooling_mode_{pooling}": True}))
    kinds = ["Transformer", "Pooling", *(["Normalize"] if unit else [])]
    listed = [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    save_file({name: np.ascontiguousarray(of) for name, of in state.items()}, folder / NAME)
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: k for k, word in enumerate(WORDS)}, "[UNK]")
    )
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(folder / "tokenizer.json"))
    return folder


NAME = "model.safetensors"


def drawn_state():
    """Random weights under the names of Hugging Face's BertModel."""
    rng = np.random.default_rng(0)
    dim = SIZES["hidden_size"]
    wide = SIZES["intermediate_size"]

    def of(*shape):
        return rng.normal(size=shape).astype(np.float32) * 0.3

    state = {
        "embeddings.word_embeddings.weight": of(len(WORDS), dim),
        "embeddings.position_embeddings.weight": of(40, dim),
        "embeddings.token_type_embeddings.weight": of(2, dim),
        "pooler.dense.weight": of(dim, dim),
        "pooler.dense.bias": of(dim),
    }
    state |= {"embeddings.LayerNorm.weight": of(dim) + 1, "embeddings.LayerNorm.bias": of(dim)}
    for k in range(SIZES["num_hidden_layers"]):
        layer = f"encoder.layer.{k}."
        shapes = {
            **{f"attention.self.{name}": (dim, dim) for name in ("query", "key", "value")},
            "attention.output.dense": (dim, dim),
            "intermediate.dense": (wide, dim),
            "output.dense": (dim, wide),
        }
        for name, shape in shapes.items():
            state[f"{layer}{name}.weight"] = of(*shape)
            state[f"{layer}{name}.bias"] = of(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            state[f"{layer}{name}.weight"] = of(dim) + 1
            state[f"{layer}{name}.bias"] = of(dim)
    return state


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("encoder") / "weights", drawn_state())


@pytest.fixture(scope="module")
def encoder(folder):
    return SentenceEncoder(folder)


def test_a_text_is_embedded_alike_whatever_stands_beside_it(encoder):
    vectors = encoder(TEXTS)
    assert vectors.shape == (4, 16) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoder(TEXTS[:1]), vectors[:1], atol=1e-5)
    np.testing.assert_allclose(encoder(TEXTS[::-1]), vectors[::-1], atol=1e-5)
    # Case is the tokenizer's; what is beyond the longest text is cut off.
    np.testing.assert_allclose(encoder(["so HAPPY!"]), vectors[:1], atol=1e-5)
    np.testing.assert_allclose(encoder(["it was sad " * 10]), vectors[2:3], atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.05
    assert encoder([]).shape == (0, 16)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_hidden_states_are_those_of_transformers(folder, encoder):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.BertModel.from_pretrained(folder).eval()
    rng = np.random.default_rng(1)
    there = np.arange(12) < rng.integers(1, 13, (5, 1))
    tokens = np.where(there, rng.integers(0, len(WORDS), (5, 12)), 0)
    with torch.no_grad():
        expected = model(torch.tensor(tokens), torch.tensor(there.astype(int))).last_hidden_state
    params = bert.from_state(drawn_state(), 2)
    found = jax.jit(bert.encode, static_argnames="heads")(params, tokens, there, heads=4)
    np.testing.assert_allclose(found[there], expected.numpy()[there], atol=2e-5)
    around = {f"bert.{name}": of for name, of in drawn_state().items()}
    jax.tree.map(np.testing.assert_array_equal, bert.from_state(around, 2), params)
    # Pooled as sentence-transformers do it.
    ids = [encoding.ids for encoding in encoder._tokenizer.encode_batch(TEXTS[:1])]
    with torch.no_grad():
        hidden = model(torch.tensor(ids)).last_hidden_state[0].numpy().mean(0)
    np.testing.assert_allclose(encoder(TEXTS[:1])[0], hidden / np.linalg.norm(hidden), atol=1e-5)


def changed(folder, tmp_path, **files):
    copy = tmp_path / "weights"
    shutil.copytree(folder, copy)
    for name, change in files.items():
        path = next(copy.rglob(name.replace("_json", ".json")))
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    return copy


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model_type": "mpnet"}, "model_type is 'mpnet'; expected 'bert'"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'; expected 'gelu'"),
        ({"num_hidden_layers": 3}, r"no tensor encoder\.layer\.2\.attention\.self\.query\.weight"),
        ({"num_attention_heads": 3}, "16 columns do not go into 3 heads"),
        ({"num_attention_heads": 0}, "num_attention_heads must be a whole number above 0, got 0"),
    ],
)
def test_another_network_is_refused(folder, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        SentenceEncoder(changed(folder, tmp_path, config_json=change))


def test_what_is_missing_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="a sentence encoder is a folder with config"):
        SentenceEncoder(tmp_path / "none")
    copy = changed(folder, tmp_path)
    pooling = copy / "1_Pooling/config.json"
    pooling.write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(ValueError, match="pools by pooling_mode_max_tokens; expected the mean"):
        SentenceEncoder(copy)
    pooling.write_text('{"pooling_mode_cls_token": true}')
    (copy / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense"}]')
    with pytest.raises(ValueError, match=r"module 'sentence_transformers\.models\.Dense' is none"):
        SentenceEncoder(copy)
    (copy / "modules.json").unlink()
    assert not SentenceEncoder(copy)._mean
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json: not a tokenizer"):
        SentenceEncoder(copy)
    pooling.unlink()
    with pytest.raises(FileNotFoundError, match="does not say how tokens become one vector"):
        SentenceEncoder(copy)


def test_a_file_of_embeddings_finds_texts_by_what_they_say(tmp_path):
    path = tmp_path / "e.npz"
    vectors = np.arange(6.0).reshape(3, 2)
    write_embeddings(path, ["a", "b", "c"], vectors, ["joy", "fear"], -vectors[:2])
    np.testing.assert_array_equal(read_embeddings(path, ["c", "a", "a"]), vectors[[2, 0, 0]])
    found = read_words(path, ["b", "a"], ["t1", "t0"], ["fear"])
    np.testing.assert_array_equal(found.texts, vectors[[1, 0]])
    np.testing.assert_array_equal(found.classes, -vectors[[1]])
    with pytest.raises(ValueError, match=r"e\.npz: no embedding of text 'd' \(1 of 2 are missing"):
        read_embeddings(path, ["a", "d"])
    with pytest.raises(ValueError, match="no embedding of class 'anger'"):
        read_words(path, ["b"], ["t1"], ["anger"])
    np.savez(path, texts=vectors, ids=["x", "y", "z"], classes=vectors, names=["u", "v", "w"])
    found = read_words(path, None, ["z", "x"], ["v"])
    np.testing.assert_array_equal(found.texts, vectors[[2, 0]])
    with pytest.raises(ValueError, match=r"e\.npz: no array hashes; found texts, ids"):
        read_embeddings(path, ["a"])
    np.savez(path, texts=vectors, ids=["x"], classes=vectors, names=["u", "v", "w"])
    with pytest.raises(ValueError, match=r"ids must be \[3\], one for each row of texts"):
        read_words(path, None, ["x"], ["v"])


def test_the_command_embeds_every_text_once(folder, tmp_path, capsys):
    (tmp_path / "a.tsv").write_text("so happy\t0\tx\nthe day\t1\ty\n")
    (tmp_path / "b.tsv").write_text("id\ttext\n1\tsad\n2\tso happy\n")
    out = tmp_path / "e.npz"

    def embed(*words):
        with pytest.raises(SystemExit) as exit:
            main(["judge", "embed", str(folder), *map(str, words)])
        return exit.value.code, " ".join("".join(capsys.readouterr()).split())

    code, said = embed(tmp_path / "*.tsv", "--classes", "joy", "sad", "--out", out)
    assert code == 0 and "3 texts, 2 classes, 16 columns" in said
    assert f"--embeddings {out}" in said
    encoder = SentenceEncoder(folder)
    texts = ["sad", "the day", "so happy"]
    np.testing.assert_allclose(read_embeddings(out, texts), encoder(texts), atol=1e-5)
    assert embed(tmp_path / "none.tsv", "--out", out) == (
        2,
        f"error: no texts at {tmp_path / 'none.tsv'}",
    )
    code, said = embed(tmp_path / "a.tsv", "--out", tmp_path / "no/e.npz")
    assert code == 2 and "its folder does not exist" in said
