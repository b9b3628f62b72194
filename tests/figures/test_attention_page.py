"""The page holds the weights it was given, within the rounding it states, needs nothing else, and fits its budget."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from lab.errors import OptionError
from lab.figures.attention_page import (
    BUDGET,
    Text,
    bytes_of_maps,
    decode_change,
    decode_weights,
    encode_change,
    encode_weights,
    heads_that_fit,
    page,
)

RNG = np.random.default_rng(0)
TOKENS = ["<|im_start|>", "</script><script>alert(1)</script>", "<!--", "\"'&amp;", "\n", "中\u2028\ud800", "{{data}}", "\\"]
COUNT = len(TOKENS)
HEADS = [(3, 2), (0, 1)]


def weights(heads=2, count=COUNT):
    raw = np.tril(RNG.random((heads, count, count)) ** 8)
    return raw / raw.sum(-1, keepdims=True)


class Reader(HTMLParser):
    """What a browser would take for scripts, and every attribute that could fetch something."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.fetching, self.title, self.at = [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.at = tag
        if tag == "script":
            self.scripts.append("")
        self.fetching += [value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]

    def handle_endtag(self, tag):
        self.at = ""

    def handle_data(self, data):
        if self.at == "script":
            self.scripts[-1] += data
        elif self.at == "title":
            self.title += data


def data_of(made):
    return json.loads(Reader(made).scripts[0])


def codes(text):
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8)


def test_weights_and_changes_come_back_within_the_error_that_is_stated():
    base, tuned = weights(), weights()
    data = data_of(page([Text("one", TOKENS, base, tuned, {"divergence (nats)": [0.5, 0.25]})], HEADS))
    rows, columns = np.tril_indices(COUNT)
    assert data["heads"] == [[3, 2], [0, 1]] and data["paired"]
    for index, head in enumerate(data["prompts"][0]["heads"]):
        seen = decode_weights(codes(head["base"]), head["top"])
        change = decode_change(codes(head["change"]), head["most"])
        wanted = base[index][rows, columns], (tuned - base)[index][rows, columns]
        assert np.abs(seen - wanted[0]).max() <= head["error"][0] < 1 / 255 + 1 / 127
        assert np.abs(np.maximum(0, seen + change) - tuned[index][rows, columns]).max() <= head["error"][0]
        np.testing.assert_allclose(np.abs(change - wanted[1]).max(), head["error"][1])
        assert head["sums"] == [[65535] * COUNT] * 2
    assert data["prompts"][0]["heads"][1]["facts"] == [["divergence (nats)", "0.25"]]


def test_rounding_is_bounded_by_half_a_step_of_the_roots():
    values = np.concatenate([RNG.random(500) ** 6, [0.0, 1 / 512]])
    stored, top = encode_weights(values)
    error = np.abs(decode_weights(stored, top) - values)
    assert (error <= np.sqrt(values * top) / 255 + top / (4 * 255**2) + 1e-12).all()
    assert error[-1] < 0.07 / 512 and error[-2] == 0
    change = values - values[::-1]
    stored, most = encode_change(change)
    back = decode_change(stored, most)
    assert (np.abs(back - change) <= np.sqrt(np.abs(change) * most) / 127 + most / (4 * 127**2) + 1e-12).all()
    assert (back * change >= 0).all()


def test_no_change_is_exactly_no_change():
    base = weights()
    for head in data_of(page([Text("one", TOKENS, base, base.copy())], HEADS))["prompts"][0]["heads"]:
        assert head["most"] == 0 and set(codes(head["change"])) == {128}
        np.testing.assert_array_equal(decode_change(codes(head["change"]), head["most"]), 0)


def test_tokens_and_titles_are_text_whatever_they_hold():
    title = "</title><script>alert(2)</script>{{data}}"
    made = page([Text("</script>", TOKENS, weights())], HEADS, title=title, base_name="<b>")
    read = Reader(made)
    assert len(read.scripts) == 2 and read.title == title
    data = json.loads(read.scripts[0])
    assert data["prompts"][0]["tokens"] == TOKENS and data["prompts"][0]["name"] == "</script>"
    assert not set("<>&\u2028") & set(read.scripts[0])
    assert "innerHTML" not in read.scripts[1] and "document.write" not in read.scripts[1]


def test_nothing_is_fetched_or_stored():
    made = page([Text("one", TOKENS, weights())], HEADS)
    assert Reader(made).fetching == ["data:,"]
    assert "default-src 'none'" in made
    assert not re.search(r"https?:|//cdn|@import|url\(|localStorage|sessionStorage|fetch\(|XMLHttp|document\.cookie", made)


def test_twelve_pairs_of_512_tokens_fit_five_megabytes():
    assert BUDGET == 5_000_000
    count = 512
    fits = heads_that_fit([count], 99, paired=True, budget=BUDGET - 60_000)
    assert fits >= 12
    one = np.tril(np.ones((count, count), dtype=np.float32)) / np.arange(1, count + 1)[:, None]
    many = np.broadcast_to(one, (15, count, count))
    made = page([Text("long", [" token"] * count, many, many)], [(0, head) for head in range(15)])
    assert len(made.encode()) <= BUDGET
    data = data_of(made)
    assert 12 <= len(data["heads"]) < 15 and data["heads"] == [[0, head] for head in range(len(data["heads"]))]
    assert data["note"] == f"{len(data['heads'])} of 15 chosen heads are on this page, which is kept under 5 MB."
    assert len(data["prompts"][0]["heads"]) == len(data["heads"])


def test_bytes_of_maps_cover_what_a_head_really_takes():
    for count in (1, 8, 100):
        tokens, maps = ["a"] * count, weights(2, count)
        sizes = [len(page([Text("one", tokens, maps[:n], maps[:n])], HEADS[:n])) for n in (1, 2)]
        assert sizes[1] - sizes[0] <= bytes_of_maps([count], 1, paired=True)


def test_what_goes_to_a_learned_sink_is_said():
    whole, part = weights(), weights() * 0.7
    assert not data_of(page([Text("one", TOKENS, whole)], HEADS))["sink"]
    data = data_of(page([Text("one", TOKENS, part)], HEADS))
    assert data["sink"]
    np.testing.assert_allclose(data["prompts"][0]["heads"][0]["sums"][0], 0.7 * 65535, atol=1)


def test_tensors_on_any_graph_and_in_half_precision_are_taken():
    base = torch.tensor(weights()).bfloat16()
    made = [page([Text("one", TOKENS, maps, maps)], HEADS)
            for maps in (base.float().numpy(), base.requires_grad_(), base.float().requires_grad_())]
    assert made[0] == made[1] == made[2]


def test_the_same_arrays_give_the_same_page():
    base = weights()
    assert page([Text("one", TOKENS, base)], HEADS) == page([Text("one", TOKENS, base)], HEADS)


@pytest.mark.parametrize(("texts", "heads", "budget", "message"), [
    ([], HEADS, BUDGET, "a page of 0 texts and 2 heads"),
    ([Text("one", TOKENS, weights())], [], BUDGET, "1 texts and 0 heads"),
    ([Text("a", TOKENS, weights(), weights()), Text("b", TOKENS, weights())], HEADS, BUDGET, "give it for all of them"),
    ([Text("a", TOKENS[:-1], weights())], HEADS, BUDGET, r"'a': base has shape \(2, 8, 8\); 2 heads over 7 tokens"),
    ([Text("a", TOKENS, weights(), weights(1))], HEADS, BUDGET, r"tuned has shape \(1, 8, 8\)"),
    ([Text("a", TOKENS, weights())], HEADS, 10_000, r"one head over 8 tokens takes [\d,]+ bytes, and its budget is 10,000"),
])
def test_what_cannot_be_shown_is_refused(texts, heads, budget, message):
    with pytest.raises(OptionError, match=message):
        page(texts, heads, budget=budget)


def test_the_budget_that_a_refusal_names_is_enough():
    text = Text("a", TOKENS, weights())
    with pytest.raises(OptionError) as refused:
        page([text], HEADS, budget=10_000)
    budget = int(re.search(r"budget=(\d+)", str(refused.value))[1])
    assert len(data_of(page([text], HEADS, budget=budget))["heads"]) == 1
