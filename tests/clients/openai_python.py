"""openai-python against a running server: models, chat, text and responses, whole and streamed, tools, a schema, errors.

  python openai_python.py http://127.0.0.1:PORT/v1
"""
import asyncio
import json
import sys

import openai
import pydantic

BASE = sys.argv[1]
client = openai.OpenAI(base_url=BASE, api_key="secret", max_retries=0)
MESSAGES = [{"role": "user", "content": "Once upon a time"}]
TOOL = {"type": "function", "function": {
    "name": "weather", "description": "The weather of a city", "strict": True,
    "parameters": {"type": "object", "properties": {"city": {"enum": ["Paris", "Oslo"]}, "days": {"enum": [1, 2]}},
                   "required": ["city", "days"], "additionalProperties": False}}}


class Answer(pydantic.BaseModel):
    verdict: bool
    grade: int = pydantic.Field(ge=0, le=9)


def chat(**more):
    more = {"temperature": 0, "max_completion_tokens": 64, "seed": 7} | more
    return client.chat.completions.create(model="tiny", messages=MESSAGES, **more)


def models():
    assert [m.id for m in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"


def whole_and_streamed_are_the_same():
    whole = chat()
    choice = whole.choices[0]
    assert choice.message.role == "assistant" and choice.finish_reason in ("stop", "length"), choice
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == choice.message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def completions():
    reply = client.completions.create(model="tiny", prompt=["Once", "There was"], max_tokens=5, logprobs=2, echo=True)
    assert [c.text[:4] for c in reply.choices] == ["Once", "Ther"]
    assert len(reply.choices[0].logprobs.tokens) >= 6
    text = "".join(c.choices[0].text
                   for c in client.completions.create(model="tiny", prompt="Once", max_tokens=5, stream=True))
    assert text


def logprobs():
    content = chat(logprobs=True, top_logprobs=3, max_completion_tokens=4).choices[0].logprobs.content
    assert len(content) == 4 and all(len(token.top_logprobs) == 3 for token in content)


def stop_and_n():
    reply = chat(n=3, temperature=1, max_completion_tokens=8)
    assert [c.index for c in reply.choices] == [0, 1, 2]
    assert chat(stop=[" "], max_completion_tokens=30).choices[0].finish_reason == "stop"


def parameters_of_vllm():
    # Strict: its fields beside OpenAI's must not make a reply another type.
    strict = openai.OpenAI(base_url=BASE, api_key="secret", max_retries=0, _strict_response_validation=True)
    messages = MESSAGES + [{"role": "assistant", "content": " there"}]
    more = {"continue_final_message": True, "echo": True, "prompt_logprobs": 1, "return_token_ids": True}
    reply = strict.chat.completions.create(model="tiny", messages=messages, max_tokens=40, temperature=0, stop=["Lily"],
                                           extra_body=more)
    choice = reply.choices[0]
    assert choice.message.content.startswith(" there was") and choice.stop_reason == "Lily", choice
    assert len(reply.prompt_logprobs) == len(reply.prompt_token_ids) == reply.usage.prompt_tokens
    assert len(choice.token_ids) == reply.usage.completion_tokens
    chunks = list(strict.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=3, stream=True,
                                                 extra_body={"return_token_ids": True, "bad_words": ["Lily"]}))
    assert chunks[-1].choices[0].stop_reason is None
    assert sum(len(getattr(c.choices[0], "token_ids", [])) for c in chunks) == 3


def check_call(name, arguments):
    found = json.loads(arguments)
    assert name == "weather" and found["city"] in ("Paris", "Oslo") and found["days"] in (1, 2), arguments


def forced_tool_calls():
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        reply = chat(tools=[TOOL], tool_choice=choice, max_completion_tokens=200).choices[0]
        assert reply.message.tool_calls, reply
        check_call(reply.message.tool_calls[0].function.name, reply.message.tool_calls[0].function.arguments)
    name, arguments, ident = "", "", None
    for chunk in chat(tools=[TOOL], tool_choice="required", max_completion_tokens=200, stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            if call.index == 0:
                name, arguments = name + (call.function.name or ""), arguments + (call.function.arguments or "")
                ident = ident or call.id
    assert ident
    check_call(name, arguments)


def schemas():
    parsed = client.chat.completions.parse(model="tiny", messages=MESSAGES, response_format=Answer, temperature=0,
                                           max_completion_tokens=200).choices[0].message.parsed
    assert isinstance(parsed, Answer)
    text = ""
    with client.chat.completions.stream(model="tiny", messages=MESSAGES, response_format=Answer, temperature=0,
                                        max_completion_tokens=200) as stream:
        for event in stream:
            if event.type == "content.delta":
                text += event.delta
    assert Answer.model_validate_json(text) == parsed


def respond(of=client, **more):
    return of.responses.create(**({"model": "tiny", "input": "Once upon a time", "temperature": 0,
                                   "max_output_tokens": 40} | more))


def responses():
    # Strict: every field of every object and event is of the type that OpenAI's schema says.
    strict = openai.OpenAI(base_url=BASE, api_key="secret", max_retries=0, _strict_response_validation=True)
    whole = respond(strict, instructions="", metadata={"a": "b"}, include=["message.output_text.logprobs"], top_logprobs=2)
    assert whole.output_text and whole.status == "incomplete", whole
    assert whole.incomplete_details.reason == "max_output_tokens" and whole.store is False, whole
    assert len(whole.output[0].content[0].logprobs) == whole.usage.output_tokens == 40
    assert whole.usage.total_tokens == whole.usage.input_tokens + 40
    assert whole.output_text == chat(max_completion_tokens=40).choices[0].message.content
    text, last = "", None
    for event in respond(strict, stream=True):
        text += event.delta if event.type == "response.output_text.delta" else ""
        last = event
    assert text == whole.output_text and last.type == "response.incomplete", last
    assert last.response.output_text == text
    assert respond(strict, extra_body={"stop": [" "]}).status == "completed"
    told = [{"role": "user", "content": "Once upon a time"}, *whole.output, {"role": "user", "content": "And then?"}]
    assert respond(strict, input=[i if isinstance(i, dict) else i.to_dict() for i in told]).output_text


def tools_of_responses():
    flat = {"type": "function"} | TOOL["function"]
    request = dict(tools=[flat], parallel_tool_calls=False, max_output_tokens=200)
    for choice in ("required", {"type": "function", "name": "weather"}):
        reply = respond(tool_choice=choice, **request)
        call = reply.output[0]
        assert call.type == "function_call" and reply.status == "completed", reply
        check_call(call.name, call.arguments)
    pieces = ""
    with client.responses.stream(model="tiny", input="Once", temperature=0, tool_choice="required", **request) as stream:
        for event in stream:
            if event.type == "response.function_call_arguments.delta":
                pieces += event.delta
                assert event.snapshot == pieces
        streamed = stream.get_final_response().output[0]
    assert streamed.arguments == pieces
    check_call(streamed.name, pieces)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}
    assert respond(input=[{"role": "user", "content": "Once"}, call, output], **request).output_text


def schemas_of_responses():
    more = {"model": "tiny", "input": "Once", "temperature": 0, "max_output_tokens": 200, "text_format": Answer}
    parsed = client.responses.parse(**more).output_parsed
    assert isinstance(parsed, Answer)
    text = ""
    with client.responses.stream(**more) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
        assert stream.get_final_response().output_parsed == parsed
    assert Answer.model_validate_json(text) == parsed


def errors_of_responses():
    for param, more in (("previous_response_id", {"previous_response_id": "resp_1"}), ("background", {"background": True}),
                        ("tools", {"tools": [{"type": "web_search"}]}), ("text.verbosity", {"text": {"verbosity": "low"}}),
                        ("input[0]", {"input": [{"type": "item_reference", "id": "msg_1"}]})):
        try:
            respond(**more)
        except openai.BadRequestError as error:
            assert error.param == param and error.body["message"], error
        else:
            raise AssertionError(f"{param} was taken")
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
        try:
            call(respond().id)
        except openai.NotFoundError as error:
            assert "not stored" in error.body["message"]
        else:
            raise AssertionError("responses are not stored")


def errors():
    for expected, request in (
            (openai.NotFoundError, dict(model="other", messages=MESSAGES)),
            (openai.BadRequestError, dict(model="tiny", messages=MESSAGES, temperature=9)),
            (openai.BadRequestError, dict(model="tiny", messages=MESSAGES, extra_body={"no_such_field": 1}))):
        try:
            client.chat.completions.create(**request)
        except expected as error:
            assert error.body["message"], error
        else:
            raise AssertionError(f"{expected.__name__} expected")
    try:
        openai.OpenAI(base_url=BASE, api_key="wrong", max_retries=0).models.list()
    except openai.AuthenticationError:
        pass
    else:
        raise AssertionError("a wrong key was taken")


def asynchronous():
    async def many():
        async with openai.AsyncOpenAI(base_url=BASE, api_key="secret") as ours:
            return await asyncio.gather(*(ours.chat.completions.create(
                model="tiny", messages=MESSAGES, temperature=0, max_completion_tokens=20) for _ in range(16)))

    assert len({reply.choices[0].message.content for reply in asyncio.run(many())}) == 1


for test in (models, whole_and_streamed_are_the_same, completions, logprobs, stop_and_n, parameters_of_vllm, forced_tool_calls,
             schemas, responses, tools_of_responses, schemas_of_responses, errors_of_responses, errors, asynchronous):
    test()
    print(f"openai-python: {test.__name__}: ok", flush=True)
