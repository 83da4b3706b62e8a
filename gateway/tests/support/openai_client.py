"""What the official client of OpenAI for Python does with the gateway; its answers go to standard output as JSON."""

import base64
import json
import os
import struct
import threading

import openai

client = openai.OpenAI(base_url=os.environ["GATEWAY_URL"] + "/v1", api_key=os.environ["GATEWAY_KEY"])
texts = ["The quick brown fox", "naïve café 日本語"]
out = {}

# Without an encoding the client asks for base64 and decodes it.
answer = client.embeddings.create(model="tiny", input=texts)
out["default"] = [item.embedding for item in answer.data]
out["tokens"] = answer.usage.prompt_tokens
answer = client.embeddings.create(model="tiny", input=texts, encoding_format="float")
out["float"] = [item.embedding for item in answer.data]
answer = client.embeddings.create(model="tiny", input=texts[0], encoding_format="base64")
raw = base64.b64decode(answer.data[0].embedding)
out["base64"] = list(struct.unpack(f"<{len(raw) // 4}f", raw))
out["short"] = len(client.embeddings.create(model="tiny", input=texts[0], dimensions=8).data[0].embedding)

out["models"] = [model.id for model in client.models.list()]
out["model"] = client.models.retrieve("tiny").id

try:
    client.embeddings.create(model="none", input="a")
except openai.NotFoundError as error:
    out["missing"] = [error.status_code, error.code, error.param]
try:
    client.embeddings.create(model="tiny", input=[[1, 2, 3]])
except openai.BadRequestError as error:
    out["numbers"] = [error.status_code, error.code, error.param]
try:
    openai.OpenAI(base_url=client.base_url, api_key="pl_wrong").models.list()
except openai.AuthenticationError as error:
    out["stranger"] = [error.status_code, error.code]

# A key that may do one thing at a time: the second request is refused, and the client tries again when it is told to.
single = openai.OpenAI(base_url=client.base_url, api_key=os.environ["GATEWAY_SINGLE_KEY"])
lengths = []


def embed(text):
    lengths.append(len(single.embeddings.create(model="slow", input=text).data[0].embedding))


threads = [threading.Thread(target=embed, args=(text,)) for text in ("three", "four")]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
out["retried"] = lengths

print(json.dumps(out))
