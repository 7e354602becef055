# SPDX-License-Identifier: MIT
"""What the client of Python must get; address and token come by its own environment variables."""

import array
import asyncio
import base64
import math

import openai

MODEL = "hashed-768"
DIMENSION = 768


def as_float32(numbers):
    return array.array("f", numbers).tobytes()


def refused(error, code, call, **arguments):
    """The call raises this class of error, and the client has understood its body."""
    try:
        call(**arguments)
    except error as caught:
        assert caught.code == code, f"code {caught.code}, want {code}"
        assert caught.type and caught.body["message"], caught.body
        return
    raise AssertionError(f"{arguments} was not refused")


def check_embeddings(client):
    create = client.embeddings.create
    by_default = create(model=MODEL, input="tiktoken is great!")  # asks for base64
    floats = create(model=MODEL, input="tiktoken is great!", encoding_format="float")
    coded = create(model=MODEL, input="tiktoken is great!", encoding_format="base64")
    vector = by_default.data[0].embedding
    assert by_default.model == MODEL and by_default.object == "list"
    assert by_default.usage.prompt_tokens == by_default.usage.total_tokens == 6
    assert len(vector) == DIMENSION and math.isclose(math.hypot(*vector), 1.0, rel_tol=1e-5)
    assert as_float32(floats.data[0].embedding) == as_float32(vector), "the numbers differ"
    assert all(isinstance(number, float) for number in floats.data[0].embedding)
    assert base64.b64decode(coded.data[0].embedding) == as_float32(vector)

    texts = [f"text number {number}" for number in range(2048)]
    for encoding in ("float", "base64"):
        many = create(model=MODEL, input=texts, encoding_format=encoding, dimensions=DIMENSION)
        assert [item.index for item in many.data] == list(range(2048))
        for at in (0, 1, 1023, 2047):
            alone = create(model=MODEL, input=texts[at], encoding_format=encoding)
            assert alone.data[0].embedding == many.data[at].embedding, f"text {at} differs"


def check_models(client):
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).object == "model"
    refused(openai.NotFoundError, "model_not_found", client.models.retrieve, model="gpt-4o")
    refused(openai.NotFoundError, "model_not_found", client.models.retrieve, model="a/b")


def check_errors(client):
    create = client.embeddings.create
    bad = openai.BadRequestError
    refused(bad, "invalid_value", create, model=MODEL, input="")
    refused(bad, "invalid_type", create, model=MODEL, input=[1, 2, 3])
    refused(bad, "invalid_value", create, model=MODEL, input="x", dimensions=5)
    refused(openai.NotFoundError, "model_not_found", create, model="other", input="x")
    refused(
        openai.NotFoundError, "not_found", client.chat.completions.create, model=MODEL, messages=[]
    )
    stranger = client.with_options(api_key="wrong")
    refused(
        openai.AuthenticationError, "unauthorized", stranger.embeddings.create, model=MODEL, input="x"
    )


async def check_at_once():
    async with openai.AsyncOpenAI() as client:
        answers = await asyncio.gather(
            *(client.embeddings.create(model=MODEL, input=f"number {n}") for n in range(64))
        )
    assert len({tuple(answer.data[0].embedding) for answer in answers}) == 64


with openai.OpenAI(max_retries=0) as the_client:
    check_embeddings(the_client)
    check_models(the_client)
    check_errors(the_client)
asyncio.run(check_at_once())
