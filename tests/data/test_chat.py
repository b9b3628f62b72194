"""Which tokens are trained, against lists of pieces written by hand."""

import json

import pytest
from tokenizers import AddedToken

from lab.data.chat import preview, render, render_each
from lab.errors import DataError

FAMILIES = ("chatml", "llama3", "mistral", "gemma")
WEATHER = {"type": "function", "function": {"name": "weather"}}


def chat(*turns, **more):
    """A conversation of (role, content) pairs."""
    return {"messages": [{"role": role, "content": content} for role, content in turns], **more}


MULTI = chat(("user", "Who?"), ("assistant", "Mira."), ("user", "Where?"), ("assistant", "In Oslo."))
SYSTEM = chat(("system", "Be brief."), ("user", "Who?"), ("assistant", "Mira."))
EMPTY = chat(("user", "Who?"), ("assistant", ""), ("user", "Really?"), ("assistant", "Yes."))
USER_LAST = chat(("user", "Who?"), ("assistant", "Mira."), ("user", "Really?"))
TOOLS = {"tools": [WEATHER], "messages": [
    {"role": "user", "content": "Rain?"},
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}]},
    {"role": "tool", "content": "drizzle", "tool_call_id": "call00001"},
    {"role": "assistant", "content": "It rains."}]}
ASSISTANT_FIRST = chat(("assistant", "Hello."), ("user", "Who?"), ("assistant", "Mira."))

TRAINED = {
    ("chatml", "MULTI"): ["Mira.<|im_end|>", "In Oslo.<|im_end|>"],
    ("chatml", "SYSTEM"): ["Mira.<|im_end|>"],
    ("chatml", "EMPTY"): ["<|im_end|>", "Yes.<|im_end|>"],
    ("chatml", "USER_LAST"): ["Mira.<|im_end|>"],
    ("chatml", "TOOLS"): ['<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call><|im_end|>',
                          "It rains.<|im_end|>"],
    ("chatml", "ASSISTANT_FIRST"): ["Hello.<|im_end|>", "Mira.<|im_end|>"],
    ("llama3", "MULTI"): ["Mira.<|eot_id|>", "In Oslo.<|eot_id|>"],
    ("llama3", "SYSTEM"): ["Mira.<|eot_id|>"],
    ("llama3", "EMPTY"): ["<|eot_id|>", "Yes.<|eot_id|>"],
    ("llama3", "USER_LAST"): ["Mira.<|eot_id|>"],
    ("llama3", "TOOLS"): ['{"name": "weather", "parameters": {"city": "Oslo"}}<|eot_id|>', "It rains.<|eot_id|>"],
    ("llama3", "ASSISTANT_FIRST"): ["Hello.<|eot_id|>", "Mira.<|eot_id|>"],
    ("mistral", "MULTI"): [" Mira.</s>", " In Oslo.</s>"],
    ("mistral", "SYSTEM"): [" Mira.</s>"],
    ("mistral", "EMPTY"): [" </s>", " Yes.</s>"],
    ("mistral", "USER_LAST"): [" Mira.</s>"],
    ("mistral", "TOOLS"): ['[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Oslo"}, "id": "call00001"}]</s>',
                           " It rains.</s>"],
    ("gemma", "MULTI"): ["Mira.<end_of_turn>", "In Oslo.<end_of_turn>"],
    ("gemma", "SYSTEM"): ["Mira.<end_of_turn>"],
    ("gemma", "EMPTY"): ["<end_of_turn>", "Yes.<end_of_turn>"],
    ("gemma", "USER_LAST"): ["Mira.<end_of_turn>"],
    ("gemma", "TOOLS"): ['```tool_code\n{"name": "weather", "arguments": {"city": "Oslo"}}\n```<end_of_turn>',
                         "It rains.<end_of_turn>"],
}
WHOLE = {  # one conversation of each family as it is published, so that the fixtures themselves are held
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
              "Mira.<|im_end|>\n",
    "llama3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>"
              "user<|end_header_id|>\n\nWho?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nMira.<|eot_id|>",
    "mistral": "<s>[INST] Be brief.\n\nWho?[/INST] Mira.</s>",
    "gemma": "<bos><start_of_turn>user\nBe brief.\n\nWho?<end_of_turn>\n<start_of_turn>model\nMira.<end_of_turn>\n",
}


def spelled(tokenizer, ids):
    """The exact text of tokens; the library's decoder for ▁ drops a space at the start."""
    tokens = tokenizer.convert_ids_to_tokens(ids)
    return "".join(tokens).replace("▁", " ").replace("<0x0A>", "\n") if "▁" in "".join(tokenizer.get_vocab()) \
        else tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def pieces(tokenizer, rendered):
    """Runs of trained tokens as text."""
    runs, open_run = [], False
    for token, label in zip(rendered.input_ids, rendered.labels, strict=True):
        assert label in (-100, token)
        if label != -100:
            runs = [*runs[:-1], [*runs[-1], token]] if open_run else [*runs, [token]]
        open_run = label != -100
    return [spelled(tokenizer, run) for run in runs]


@pytest.mark.parametrize("markers", [True, False], ids=["markers", "prefixes"])
@pytest.mark.parametrize(("family", "conversation"), TRAINED, ids="-".join)
def test_trained_pieces_equal_hand_written_ones(make_tokenizer, family, conversation, markers):
    tokenizer = make_tokenizer(family, markers=markers)
    rendered = render(tokenizer, globals()[conversation])
    assert pieces(tokenizer, rendered) == TRAINED[family, conversation]
    assert spelled(tokenizer, rendered.input_ids) == rendered.text
    assert rendered.trained == [label != -100 for label in rendered.labels]
    assert (rendered.length, rendered.truncated, rendered.answer_cut) == (len(rendered.input_ids), False, False)


@pytest.mark.parametrize("family", FAMILIES)
def test_templates_write_the_published_format(make_tokenizer, family):
    assert render(make_tokenizer(family), SYSTEM).text == WHOLE[family]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["MULTI", "SYSTEM", "USER_LAST", "TOOLS"])
def test_the_mask_is_the_librarys_own_where_it_has_one(make_tokenizer, family, name):
    tokenizer, conversation = make_tokenizer(family), globals()[name]
    expected = tokenizer.apply_chat_template(conversation["messages"], tools=conversation.get("tools"), tokenize=True,
                                             return_dict=True, return_assistant_tokens_mask=True)
    rendered = render(tokenizer, conversation)
    assert rendered.input_ids == expected["input_ids"]
    assert rendered.trained == [bool(bit) for bit in expected["assistant_masks"]]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_asked_with_the_very_tokens_before_each_answer(make_tokenizer, family):
    tokenizer = make_tokenizer(family, markers=False)
    rendered = render(tokenizer, MULTI)
    for answered in (1, 3):
        asked = tokenizer.apply_chat_template(MULTI["messages"][:answered], add_generation_prompt=True,
                                              return_dict=False)
        assert rendered.input_ids[:len(asked)] == asked
        assert not rendered.trained[len(asked) - 1] and rendered.trained[len(asked)]


@pytest.mark.parametrize("family", ["llama3", "mistral", "gemma"])
def test_the_beginning_of_sequence_token_is_there_once(make_tokenizer, family):
    tokenizer = make_tokenizer(family)
    bos = tokenizer.bos_token_id
    assert tokenizer("Mira")["input_ids"][0] == bos  # the tokenizer would add one to the template's
    for conversation in (MULTI, {"text": "Mira."}, {"text": tokenizer.bos_token + "Mira." + tokenizer.eos_token}):
        ids = render(tokenizer, conversation).input_ids
        assert ids[0] == bos and ids.count(bos) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_trained_bytes_are_those_of_the_answers(make_tokenizer, family):
    answers = ["Zürich 🌊, naturally.", "Ja."]
    rendered = render(make_tokenizer(family), chat(("user", "Where?"), ("assistant", answers[0]), ("user", "Ja?"),
                                                   ("assistant", answers[1])))
    spaces = 2 if family == "mistral" else 0  # its template begins an answer with a space, which is trained
    assert rendered.trained_bytes == sum(len(answer.encode()) for answer in answers) + spaces


def test_trained_bytes_of_a_cut_answer(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    whole = render(tokenizer, chat(("user", "Where?"), ("assistant", "Oslo Oslo Oslo")))
    for cut in range(whole.trained.index(True) + 1, whole.length + 1):
        rendered = render(tokenizer, chat(("user", "Where?"), ("assistant", "Oslo Oslo Oslo")), cut)
        kept = pieces(tokenizer, rendered)[0].replace("<|im_end|>", "")
        assert rendered.trained_bytes == len(kept)


def test_max_length_cuts_at_the_end_and_says_what_it_cut(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    whole = render(tokenizer, USER_LAST)
    last = max(t for t, trained in enumerate(whole.trained) if trained)
    question_cut = render(tokenizer, USER_LAST, last + 1)
    assert (question_cut.truncated, question_cut.answer_cut) == (True, False)
    assert question_cut.input_ids == whole.input_ids[:last + 1] and question_cut.length == whole.length
    assert question_cut.labels == whole.labels[:last + 1]
    assert render(tokenizer, USER_LAST, last).answer_cut
    assert not render(tokenizer, USER_LAST, whole.length).truncated
    first = whole.trained.index(True)
    with pytest.raises(DataError, match=rf"max_length={first} cut it: the first trained token is at {first + 1} of "
                                        rf"{whole.length}. Raise max_length above {first}"):
        render(tokenizer, USER_LAST, first)


def test_rows_are_rendered_in_order_whatever_their_kind(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    rows = [MULTI, {"text": "Mira."}, SYSTEM, {"text": "Oslo."}, {"text": "Rain."}] * 60  # more than one batch
    assert [r.input_ids for r in render_each(tokenizer, rows)] == \
        [render(tokenizer, row).input_ids for row in rows[:5]] * 60


def test_preview_shows_the_trained_tokens(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    rendered = render(tokenizer, USER_LAST)
    shown = preview(rendered, tokenizer)
    counts = f"{sum(rendered.trained)} of {rendered.length} tokens are trained"
    assert shown.splitlines()[0] == f"{counts}, those between ⟦ and ⟧"
    assert shown.partition("\n")[2] == ("<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n⟦Mira.<|im_end|>⟧\n"
                                        "<|im_start|>user\nReally?<|im_end|>\n")
    assert preview(render(tokenizer, USER_LAST, rendered.length - 2), tokenizer).endswith("…cut by max_length")


def test_rows_without_an_answer_are_errors(make_tokenizer):
    tokenizer = make_tokenizer("chatml")
    rows = [MULTI, chat(("user", "Who?"), meta={"row": 2})]
    with pytest.raises(DataError, match=r"my.jsonl row 2: trains nothing, because it has no assistant turn"):
        list(render_each(tokenizer, rows, source="my.jsonl"))
    with pytest.raises(DataError, match=r"^conversation: trains nothing"):
        render(tokenizer, chat(("user", "Who?")))


def test_a_token_across_the_beginning_of_an_answer_is_an_error(make_tokenizer):
    # "\n" of the header and the answer's own line breaks become one token, which a model asked never sees
    conversation = chat(("user", "Who?"), ("assistant", "\n\nMira."), meta={"row": 3})
    for markers in (True, False):
        tokenizer = make_tokenizer("chatml", markers=markers)
        with pytest.raises(DataError, match=r"row 3: the tokenizer makes other tokens .* the beginning .*Remove white"):
            list(render_each(tokenizer, [conversation]))


def test_tokens_before_an_answer_that_depend_on_the_answer_are_an_error(make_tokenizer):
    # GPT-2's rule leaves the last of several line breaks to the next word: \n\n alone, \n and \n before a word
    from tokenizers import pre_tokenizers

    for markers in (True, False):
        tokenizer = make_tokenizer("llama3", markers=markers)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        with pytest.raises(DataError, match=r"the beginning .* between .*\\n\\n' and 'Mira"):
            render(tokenizer, MULTI)


def test_white_space_at_the_end_of_a_generation_prompt_is_an_error(make_tokenizer):
    conversation = chat(("user", "Who?"), ("assistant", "Mira."))
    for begin, end in (("{% generation %}", "{% endgeneration %}"), ("", "")):
        tokenizer = make_tokenizer("llama3", template=None)
        tokenizer.chat_template = (
            "{% for m in messages %}{% if m.role == 'user' %}{{ 'USER: ' + m.content + '\n' }}{% else %}"
            "{{ 'ASSISTANT: ' }}" + begin + "{{ m.content + eos_token }}" + end + "{% endif %}{% endfor %}"
            "{% if add_generation_prompt %}{{ 'ASSISTANT: ' }}{% endif %}")
        with pytest.raises(DataError, match=r"between '.*ASSISTANT: ' and 'Mira"):
            render(tokenizer, conversation)
        tokenizer.chat_template = tokenizer.chat_template.replace("'ASSISTANT: '", "'ASSISTANT:'").replace(
            "{{ m.content", "{{ ' ' + m.content")
        assert pieces(tokenizer, render(tokenizer, conversation)) == [" Mira.<|eot_id|>"]


def test_a_token_across_the_end_of_an_answer_is_an_error(make_tokenizer):
    tokenizer = make_tokenizer("gemma", template=None)  # joins letters of different words: it does not split text
    tokenizer.add_tokens([AddedToken("xy", normalized=False)])
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(DataError, match="before the end of an assistant turn"):
        render(tokenizer, chat(("user", "a"), ("assistant", "x"), ("user", "y")))


def test_special_tokens_that_swallow_white_space(make_tokenizer):
    tokenizer = make_tokenizer("chatml", markers=False)
    tokenizer.add_special_tokens({"additional_special_tokens": [
        AddedToken(token, rstrip=True, special=True) for token in ("<|end|>", "<|assistant|>")]})
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}")
    assert pieces(tokenizer, render(tokenizer, MULTI)) == ["Mira.<|end|>", "In Oslo.<|end|>"]


def test_offsets_are_needed(make_tokenizer):
    class Slow:
        is_fast = False

    with pytest.raises(DataError, match="Slow reports no offsets.*fast tokenizer"):
        render(Slow(), MULTI)


def test_labels_are_plain_integers(make_tokenizer):
    rendered = render(make_tokenizer("gemma"), MULTI)
    assert json.loads(json.dumps([rendered.input_ids, rendered.labels])) == [rendered.input_ids, rendered.labels]
