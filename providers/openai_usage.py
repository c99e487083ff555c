"""OpenAI's usage report: `GET /v1/organization/usage/PART`, a bucket a day (types of openai 3.57, 2026-11)."""

from __future__ import annotations

from typing import Final

from providers.document import Document
from providers.usage import NotUsage, Page, UsageReport, Used, count, following, key_of, objects

_DAY: Final = 86_400
_WITH_TOKENS: Final = ("completions", "embeddings")


def _read(part: str, document: Document) -> Page:
    used = []
    for bucket in objects(document, "data"):
        start = bucket.get("start_time")
        if type(start) is not int or start % _DAY:
            raise NotUsage("a bucket of the report is no day")
        for each in objects(bucket, "results"):
            counted = part in _WITH_TOKENS
            used.append(
                Used(
                    start // _DAY,
                    key_of(each, "api_key_id"),
                    count(each, "num_model_requests"),
                    count(each, "input_tokens") if counted else 0,
                    count(each, "output_tokens") if counted else 0,
                )
            )
    return Page(tuple(used), following(document))


OPENAI_USAGE = UsageReport(
    parts=(*_WITH_TOKENS, "moderations", "audio_transcriptions"),
    operations=("chat.completions", "responses", "embeddings", "moderations", "audio.transcriptions"),
    tokens_of=("chat.completions", "responses", "embeddings"),
    input=("input",),  # cached ones included, in the report as in an answer
    requests=True,
    prefix="/v1",
    read=_read,
)
