"""Pairs of activations come back from their files as they were captured, and never lie in memory by more than one file."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open

from lab.errors import DataError, OptionError
from lab.models.batch import inputs
from lab.probing import shards
from lab.probing.capture import capture
from lab.probing.decomposition import decompose
from tests import architectures

pytestmark = pytest.mark.usefixtures("one_thread")

SITE, LAYER = "delta_ffn", 1
PER_TOKEN = 2 * architectures.WIDTH * 4 + 3 * 4  # bytes of float32 pairs and three numbers
ABOUT = {"site": SITE, "layer": str(LAYER), "base_fingerprint": "sha256:00", "run_id": "abc"}


def batches():
    """Three prompts: one alone, then two as a padded batch."""
    alone, other, short = (architectures.prompts(1, length, seed=length)[0] for length in (9, 8, 5))
    yield torch.tensor([4]), alone[None], None
    tokens, real = architectures.padded([other, short], "left", 8)
    yield torch.tensor([7, 2]), tokens, real


def written(folder, most_bytes=shards.MOST_BYTES, given=None, site=SITE, layer=LAYER):
    tuned = architectures.tuned("qwen3")
    shards.write_pairs(tuned, "strong", batches() if given is None else given, decompose(tuned), folder, site=site,
                       layer=layer, fingerprint=ABOUT["base_fingerprint"], run_id=ABOUT["run_id"], most_bytes=most_bytes)
    return folder


def whole(folder):
    parts = list(shards.read(folder))
    return {column: torch.cat([part[column] for part in parts]) for column in parts[0]}


@pytest.mark.parametrize("most_bytes", [shards.MOST_BYTES, 4 * PER_TOKEN, PER_TOKEN])
def test_what_is_read_is_what_each_model_has_on_each_prompt_alone(tmp_path, most_bytes):
    held = whole(written(tmp_path / "new" / "folder", most_bytes))
    tuned = architectures.tuned("qwen3")
    assert held["prompt"].unique().tolist() == [2, 4, 7] and len(held["base"]) == 9 + 8 + 5
    for prompt, length in ((4, 9), (7, 8), (2, 5)):
        mine = {column: values[held["prompt"] == prompt] for column, values in held.items()}
        tokens = architectures.prompts(1, length, seed=length)
        assert mine["token"].tolist() == tokens[0].tolist() and mine["position"].tolist() == list(range(length))
        for column, adapter in (("base", None), ("tuned", "strong")):
            with architectures.under(tuned, adapter):
                alone = capture(tuned, inputs(tuned, tokens), decompose(tuned)).values[SITE][LAYER][0]
            torch.testing.assert_close(mine[column], alone, atol=1e-5, rtol=1e-4)
    assert (held["base"] - held["tuned"]).abs().max() > 0.01


def test_files_say_what_they_hold_and_are_no_larger_than_allowed(tmp_path):
    folder = written(tmp_path, 4 * PER_TOKEN)
    index = shards.about(folder)
    assert {**ABOUT, "dtype": "float32", "width": architectures.WIDTH, "tokens": 22}.items() <= index.items()
    assert [one["tokens"] for one in index["shards"]] == [4, 4, 4, 4, 4, 2]
    for one in index["shards"]:
        with safe_open(folder / one["file"], "pt") as file:
            assert file.metadata() == {**ABOUT, "dtype": "float32"}
            assert sum(file.get_tensor(name).nbytes for name in file.keys()) <= 4 * PER_TOKEN  # noqa: SIM118
    assert {path.name for path in folder.iterdir()} == {"index.json", *(one["file"] for one in index["shards"])}


def test_a_batch_is_asked_for_when_all_but_one_shard_of_the_last_is_on_disk(tmp_path):
    def watched():
        given = 0
        for batch in batches():
            on_disk = sum(len(safe_open(file, "pt").get_tensor("token")) for file in tmp_path.glob("shard_*"))
            assert given - on_disk < 3 and not (tmp_path / shards.INDEX).exists()
            yield batch
            given += batch[1].numel()
        seen.append(given)

    seen = []
    written(tmp_path, 3 * PER_TOKEN, watched())
    assert seen


def test_a_writer_holds_one_shard_and_takes_batches_larger_than_that(tmp_path):
    generator = torch.Generator().manual_seed(0)
    base, tuned = torch.randn(2, 100, 8, generator=generator, dtype=torch.float64).to(torch.bfloat16)
    numbers = torch.arange(100)
    rows = {"base": base, "tuned": tuned, "token": numbers, "prompt": numbers // 10, "position": numbers % 10}
    with shards.writing(tmp_path, {}, most_bytes=1000) as writer:
        writer.add(rows)
        assert sum(room.untyped_storage().nbytes() for room in writer._room.values()) <= 1000
    held = whole(tmp_path)
    assert shards.about(tmp_path)["dtype"] == "bfloat16"
    assert all(torch.equal(held[column], values.to(held[column].dtype)) for column, values in rows.items())


def test_a_folder_that_holds_something_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match="is not empty .it holds notes.txt"):
        written(tmp_path, given=iter(lambda: pytest.fail("a batch was asked for"), None))


def test_unknown_sites_and_layers_are_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(OptionError, match="unknown middle"):
        written(tmp_path / "new", site="middle")
    with pytest.raises(OptionError, match="there is no layer 9"):
        written(tmp_path / "new", layer=9)
    assert not (tmp_path / "new").exists()


def test_a_shard_that_holds_no_token_and_a_text_without_one(tmp_path):
    with pytest.raises(OptionError, match=f"most_bytes={PER_TOKEN - 1}: one token takes {PER_TOKEN} bytes here"):
        written(tmp_path / "small", PER_TOKEN - 1)
    with pytest.raises(DataError, match="no token was given"):
        written(tmp_path / "none", given=[])


def test_what_was_cut_short_or_damaged_is_not_read(tmp_path):
    def breaks():
        yield next(batches())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "cut", 4 * PER_TOKEN, breaks())
    assert list((tmp_path / "cut").glob("shard_*"))
    with pytest.raises(DataError, match="has no index.json"):
        next(shards.read(tmp_path / "cut"))
    folder = written(tmp_path / "whole", 4 * PER_TOKEN)
    first, last = (folder / shards.about(folder)["shards"][place]["file"] for place in (0, -1))
    shutil.copy(last, first)
    with pytest.raises(DataError, match="does not hold the 4 tokens that index.json says"):
        list(shards.read(folder))
    first.unlink()
    with pytest.raises(DataError, match=f"lacks {first.name}, which its index.json names"):
        list(shards.read(folder))
    assert json.loads((folder / "index.json").read_text())["tokens"] == 22
