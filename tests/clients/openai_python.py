"""openai-python against a running server: models, chat and text, whole and streamed, logprobs, errors.

  python openai_python.py http://127.0.0.1:PORT/v1
"""
import asyncio
import sys

import openai

BASE = sys.argv[1]
client = openai.OpenAI(base_url=BASE, api_key="secret", max_retries=0)
MESSAGES = [{"role": "user", "content": "Once upon a time"}]


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


for test in (models, whole_and_streamed_are_the_same, completions, logprobs, stop_and_n, errors, asynchronous):
    test()
    print(f"openai-python: {test.__name__}: ok", flush=True)
