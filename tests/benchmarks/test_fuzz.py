"""Hostile inputs for every reader: read, or refused in a sentence, and nothing else."""

from benchmarks import fuzz


def test_no_reader_fails_otherwise_than_in_words(tmp_path):
    counts, breaches = fuzz.fuzz(360, seed=7, folder=tmp_path)
    assert not breaches, "\n".join(map(str, breaches))
    assert set(counts) == set(fuzz.targets())
    assert sum(of["refused"] for of in counts.values()) > 100
    assert sum(of["read"] for of in counts.values()) > 50


def test_every_reader_reads_whole_files(tmp_path):
    """Or damages would all end at the first check."""
    for name, target in fuzz.targets().items():
        for suffix, seeds in target.seeds.items():
            if (name, suffix) in {("weights", ".pth"), ("configurations", ".py")}:
                continue
            if (name, suffix) == ("collections", ".py"):
                continue
            path = tmp_path / f"whole{suffix}"
            path.write_bytes(seeds[0])
            target.read(path)


def test_a_breach_is_seen(tmp_path, monkeypatch):
    def fails(path):
        raise KeyError(path)

    target = fuzz.Target(fails, {".txt": [b"1"]})
    monkeypatch.setattr(fuzz, "targets", lambda: {"broken": target})
    _, breaches = fuzz.fuzz(2, seed=0, folder=tmp_path)
    assert [breach.reader for breach in breaches] == ["broken", "broken"]
    assert "KeyError" in breaches[0].what
