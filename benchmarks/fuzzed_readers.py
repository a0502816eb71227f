"""The readers that are fuzzed, each with whole files of the kind that it reads."""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")


class Target(NamedTuple):
    """A reader, and whole files of the kind it reads, by suffix."""

    read: Callable[[Path], Any]
    seeds: dict[str, list[bytes]]
    named: bool = True
    """Whether the reader names the file; of others its callers do."""


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    """An array as a file of numpy."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _picture(kind: str, mode: str = "L") -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def _votes(rng: np.random.Generator) -> bytes:
    rows = [",".join(("id", *CLASSES, "unknown", "NF"))]
    rows += [",".join(map(str, (i, *rng.integers(0, 9, 10)))) for i in range(12)]
    return "\n".join(rows).encode()


def _ferplus(rng: np.random.Generator) -> bytes:
    rows = [",".join(("Usage", "Image name", *CLASSES, "unknown", "NF"))]
    rows += [",".join(("Training", f"{i}.png", *map(str, rng.integers(0, 9, 10)))) for i in (1, 2)]
    return "\n".join(rows).encode()


def _safetensors(**arrays: np.ndarray) -> bytes:
    from safetensors.numpy import save

    return save(arrays)


def _exported() -> bytes:
    """A file of ``ferjax export`` around a program of one multiplication."""
    import jax
    import jax.export
    import jax.numpy as jnp

    from ferjax.routing import RouterRule
    from ferjax.serving import archive

    rules = {"uar": RouterRule(0.5, 0.2)}

    def program(weights, images, thresholds):
        light = weights[0] * jnp.mean(images.astype(jnp.float32), (1, 2))
        scores = {"aleatoric": light, "epistemic": light}
        action = {"uar": (light > thresholds["uar"][0]).astype(jnp.int32)}
        return action, jnp.stack([light, 1 - light], -1), scores

    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, 16, 16), jnp.uint8)
    weights = [np.ones(1, np.float32)]
    lowered = jax.export.export(jax.jit(program))(weights, images, archive.thresholds_of(rules))
    about = {
        "format": archive.FORMAT,
        "classes": ["a", "b"],
        "side": 16,
        "routers": {name: rule.to_json() for name, rule in rules.items()},
        "provenance": {},
        "parity": {"tolerance": 1e-4},
        "weights": 1,
    }
    return archive.pack(about, bytes(lowered.serialize()), weights, {})


def _written(name: str, write: Callable[[Path], Any]) -> bytes:
    """What a function writes to a file of that name."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return (Path(folder) / name).read_bytes()


def _densities() -> bytes:
    from ferjax import density
    from ferjax.ensemble import densities

    unit = density.Gaussian(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), np.float32(0))
    spectrum = density.Spectrum(unit.mean, unit.mean[:, None], unit.mean[:, None])
    tail = density.Tail(np.float32(0), np.float32(1), np.float32(0.1))
    tails = {"joint": tail, "block_0": tail}
    state = densities.Densities(spectrum, unit, {"block_0": unit}, {}, unit, tails)
    return _written("densities.safetensors", lambda folder: densities.save(state, folder))


def _judgments() -> bytes:
    from ferjax.judgments import Judge, Judgments

    made = Judgments(
        kind="multi",
        classes=("joy", "anger"),
        judges=(Judge("a", 0.7), Judge("b", 0.7)),
        ids=np.array(["x", "y", "z"]),
        asked=np.full((2, 3), 4),
        unparsed=np.zeros((2, 3), int),
        counts=np.full((2, 3, 2), 2),
    )
    return _written("j.npz", lambda folder: made.save(folder / "j.npz"))


def targets() -> dict[str, Target]:
    """Every reader by name."""
    from ferjax import comparing
    from ferjax.config import CollectConfig, Config, load_collect_config, load_config
    from ferjax.ensemble import densities
    from ferjax.ensemble.folder import RunFolder
    from ferjax.ensemble.log import read_log
    from ferjax.evaluation import readers, vote_files
    from ferjax.faces import (
        ferplus_files,
        image_files,
        image_folders,
        label_tables,
        picture_dataset,
        voted_pictures,
    )
    from ferjax.faces.spec import DataSpec
    from ferjax.judgments import Judgments
    from ferjax.models import pretrained, state_dicts
    from ferjax.predictions import Predictions
    from ferjax.serving import archive, program, sources
    from ferjax.serving.records import Jsonl, resume
    from ferjax.texts import dataset as text_dataset
    from ferjax.texts import prompting, replies, store
    from ferjax.texts.client import Reply
    from ferjax.texts.items import read_texts
    from ferjax.texts.readers import read_answers, read_panel

    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(8), (2, 12)).astype(np.float32)
    logs = np.log(probs)
    meta = np.array(json.dumps({"condition": "blur_2", "corruption": "blur", "severity": 2}))
    votes = rng.integers(0, 9, (12, 10))
    pictures = rng.integers(0, 255, (3, 30, 30), np.uint8)
    whole = _npz(log_probs=logs, votes=votes, ids=np.arange(12), meta=meta)
    rule = {"defer": {"score": "a", "above": 1}, "reject": {"score": "b", "above": None}}
    config = Config().to_json().encode()
    line = {"router": "", "path": "a.png", "action": "accept", "label": "b", "aleatoric": 0.1}
    bias = {"calibrator": "bias", "parameters": {"bias": [[0.1, -0.1]]}}
    kept = {"judges": {"j": bias}, "classes": ["a", "b"], "items": [], "kind": "single"}
    sides = SimpleNamespace(ratings=SimpleNamespace(classes=("a", "b"), kind="single"))
    asked = {"texts": "t.csv", "labels": ["joy", "anger"], "synonyms": {"glad": "joy"}}
    description = {"kind": "multi", "labels": ["a"], "none_label": "", "levels": [], "prompts": {}}
    answered = json.dumps({"key": "k", "status": "ok", "raw": "[]"}).encode() + b"\n"
    message = {"message": {"content": "joy"}, "finish_reason": "stop", "index": 0}
    rating = {"id": "x", "text": "t", "ratings": [{"rater": "a", "labels": ["joy"]}]}
    split = {"images": pictures, "votes": np.ones((3, 2), int), "abstentions": np.ones((3, 0), int)}
    split |= {"ids": np.arange(3), "names": np.array(["a", "b", "c"])}
    stored = {"format": 1, "classes": ["a", "b"], "side": 30, "colour": False, "abstentions": []}
    weights = _safetensors(
        cls_token=np.zeros((1, 1, 8), np.float32),
        pos_embed=np.zeros((1, 5, 8), np.float32),
        **{"patch_embed.proj.weight": np.zeros((8, 3, 4, 4), np.float32)},
    )
    logged = json.dumps({"epoch": 1, "step": 3, "loss": [0.1]}).encode() + b"\n"

    def route_rows(path: Path) -> None:
        for item in sources.items([path]):
            with contextlib.suppress(ValueError):
                item.load(48, None)

    def stream(path: Path) -> None:
        with open(path, "rb") as file:
            for item in sources.items(["-"], file):
                with contextlib.suppress(ValueError):
                    item.load(48, None)

    def collection(path: Path) -> None:
        folder = path.parent / "collection"
        folder.mkdir(exist_ok=True)
        (folder / "collection.json").write_text(json.dumps(description))
        (folder / "answers.jsonl").write_bytes(path.read_bytes())
        list(store.read_answers(folder))

    def prompt(path: Path) -> None:
        prompting.load_prompt(CollectConfig("t", ("joy", "anger"), prompt=str(path)))

    def data_set(path: Path) -> None:
        folder = path.parent / "set"
        folder.mkdir(exist_ok=True)
        (folder / "data.json").write_text(json.dumps(stored))
        for name in ("train", "valid", "test"):
            (folder / f"{name}.npz").write_bytes(path.read_bytes())
        picture_dataset.load(folder)

    def in_run(name: str, read: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def of(path: Path) -> Any:
            folder = path.parent / "run"
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(path.read_bytes())
            return read(folder)

        return of

    texts = [b"null", b"5", b"[]", b'{"a": ' * 50_000, b'"x"', b"\xff\xfe{\x00}\x00"]
    return {
        "predictions": Target(
            readers.read_condition,
            {
                ".npz": [whole, _npz(probs=probs), _npz(logits=logs), _npz(alpha=5 * probs)],
                ".npy": [npy(probs)],
            },
        ),
        "predictions of a run": Target(Predictions.load, {".npz": [whole]}),
        "judgments": Target(Judgments.load, {".npz": [_judgments()]}),
        "votes": Target(
            lambda path: vote_files.read_votes(path, 8),
            {".csv": [_votes(rng), _ferplus(rng)], ".npz": [_npz(votes=votes)]},
        ),
        "FER+ votes": Target(ferplus_files.read_votes, {".csv": [_ferplus(rng)]}),
        "FER+ pixels": Target(
            ferplus_files.read_pixels,
            {".csv": [b"emotion,pixels,Usage\n1," + b"7 " * 2304 + b",Training\n"]},
        ),
        "pictures": Target(
            lambda path: image_files.read(path, 48),
            {
                f".{kind.lower()}": [_picture(kind), _picture(kind, "P")]
                for kind in ("PNG", "GIF", "BMP", "TIFF")
            }
            | {".jpg": [_picture("JPEG")], ".webp": [_picture("WEBP", "RGB")]},
            named=False,
        ),
        "sets of pictures": Target(
            lambda path: image_folders.read_set(path, DataSpec(tuple(CLASSES), 48)),
            {".npz": [_npz(images=pictures, labels=np.array([0, 1, 2]))]},
        ),
        "rows to route": Target(route_rows, {".npz": [_npz(images=pictures)]}),
        "stream to route": Target(
            stream, {".txt": [b'{"path": "absent.png", "id": 3}\nabsent.jpg\n', *texts]}
        ),
        "lines to continue": Target(
            lambda path: resume(path, Jsonl()), {".jsonl": [json.dumps(line).encode() + b"\n"]}
        ),
        "exports": Target(archive.load, {".ferjax": [_exported()]}),
        "thresholds": Target(
            in_run("thresholds.json", program.load_thresholds),
            {".json": [json.dumps({"routers": {"uar": rule}}).encode(), *texts]},
        ),
        "configurations": Target(
            load_config,
            {
                ".json": [config, *texts],
                ".py": [b"raise SystemExit(0)", b"1 / 0", b"config = 5", b"import nothing_here"],
            },
        ),
        "descriptions of data": Target(
            in_run("data.json", lambda folder: RunFolder(folder).spec()),
            {".json": [b'{"classes": ["a", "b"], "side": 8}', *texts]},
        ),
        "logs": Target(read_log, {".jsonl": [logged * 3, *texts]}),
        "weights": Target(
            lambda path: state_dicts.describe(pretrained.read_state(path)),
            {".safetensors": [weights], ".pth": [_npz(a=logs)]},
            named=False,
        ),
        "densities": Target(
            in_run("densities.safetensors", densities.load), {".safetensors": [_densities()]}
        ),
        "tables of labels": Target(
            lambda path: label_tables.read_csv(path),
            {".csv": [b"path,label,split\na.png,joy,train\nb.png,anger,test\n"]},
        ),
        "Kaggle's pixels": Target(
            lambda path: voted_pictures.find(path),
            {
                ".csv": [
                    b"emotion,pixels\n" + b"".join(b"%d,%s\n" % (i, b"7 " * 64) for i in (0, 3))
                ]
            },
        ),
        "data sets of pictures": Target(data_set, {".npz": [_npz(**split)]}),
        "panels": Target(
            read_panel,
            {
                ".csv": [
                    b"item,rater,label\nx,a,joy\nx,b,anger\ny,a,joy\n",
                    b"item,rater,V,A\nx,a,1.5,2\nx,b,2.5,3\n",
                    b"item,joy,anger\nx,2,1\ny,0,3\n",
                ],
                ".jsonl": [json.dumps(rating).encode() + b"\n", *texts],
            },
        ),
        "models' answers": Target(
            read_answers, {".csv": [b"item,model,temperature,V\nx,m,0.7,1.5\ny,m,0.7,2\n"]}
        ),
        "texts": Target(
            read_texts,
            {
                ".csv": [b"id,text\n1,hello\n2,you\n"],
                ".tsv": [b"id\ttext\n1\thello\n"],
                ".jsonl": [b'{"id": 1, "text": "hello"}\n', *texts],
            },
        ),
        "labelled texts": Target(
            lambda path: text_dataset.read_labelled(str(path), ("joy", "anger")),
            {".tsv": [b"hello\t0\tx\nyou\t0,1\ty\n"]},
        ),
        "prompts": Target(prompt, {".txt": [b"Be brief.\n--- user ---\n{text} {labels}\n"]}),
        "collections": Target(
            load_collect_config,
            {
                ".json": [json.dumps(asked).encode(), *texts],
                ".py": [b"raise SystemExit(0)", b"1 / 0", b"config = 5"],
            },
        ),
        "descriptions of collections": Target(
            in_run("collection.json", store.read_description),
            {".json": [json.dumps(description).encode(), *texts]},
        ),
        "raw answers": Target(collection, {".jsonl": [answered * 3, *texts]}),
        "replies of servers": Target(
            lambda path: replies.read_reply(Reply(200, path.read_bytes(), None, 0.0), 2),
            {".json": [json.dumps({"choices": [message]}).encode(), *texts]},
        ),
        "calibrators": Target(
            lambda path: comparing.read_calibrators(path, sides),  # type: ignore[arg-type]
            {".json": [json.dumps(kept).encode(), *texts]},
        ),
    }
