"""Counts in public corpora of trillions of tokens, from the infini-gram web API (Liu et al. 2024, arXiv 2401.17377).

A query is a POST of ``{"index", "query_type": "count", "query"}``. The answer has ``count``, ``approx``, ``latency``,
``token_ids`` and ``tokens``. The query is text, and an index has its own tokenizer, often not the model's. So the
number of the query's tokens is kept with the count. ``infini_gram_index`` in the registry names the indexes.

Answers are kept in a SQLite file, so each query is sent once. Requests are spaced. If the server is slow, busy, broken
or unreadable, a request is repeated after growing pauses. A request that the server rejects is not repeated.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from interp.data.documents import refuse_halves
from interp.errors import InterpError
from interp.files import check_outputs
from interp.several import several

API_URL = "https://api.infini-gram.io/"


class InfiniGramError(InterpError, RuntimeError):
    """The server refused a query, or did not answer it in any attempt."""


class _TransientError(Exception):
    """The request is worth another attempt, after at least ``wait`` seconds."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class WebCount:
    """The server's answer."""

    count: int
    approximate: bool
    """Whether the count is the server's estimate, not exact."""
    n_tokens: int
    """Number of the query's tokens in the index's own tokenizer."""


@dataclass
class InfiniGram:
    """A client of one index.

    >>> client = InfiniGram("v4_rpj_llama_s4", cache=Path("counts.sqlite"))
    >>> client.count("natural language processing")
    """

    index: str
    """Name of the index, from ``ModelSpec.infini_gram_index``."""
    cache: Path
    """SQLite file of answers; created if missing."""
    url: str = API_URL
    min_interval: float = 0.2
    """Minimal number of seconds between the starts of two requests."""
    timeout: float = 30.0
    """Maximal number of seconds per request."""
    n_attempts: int = 6
    first_wait: float = 1.0
    """Seconds before the second attempt. Doubled for each further one, up to a minute, with jitter."""

    def __post_init__(self) -> None:
        _check_url(self.url)
        self._last_start = float("-inf")
        self._client = httpx.Client(timeout=self.timeout)
        check_outputs({"cache": self.cache})
        self.cache.parent.mkdir(parents=True, exist_ok=True)
        with self._answers() as answers:
            others = answers.execute("SELECT name FROM sqlite_master WHERE tbl_name != 'answers'").fetchall()
            if others:
                raise InfiniGramError(f"{self.cache} is another database; choose another file")
            answers.execute(
                "CREATE TABLE IF NOT EXISTS answers (url TEXT, idx TEXT, query TEXT, answer TEXT, "
                "PRIMARY KEY (url, idx, query))"
            )

    def count(self, query: str) -> WebCount:
        """How often a text occurs in the corpus of the index.

        Raises:
            InfiniGramError: the query is empty, the server refused it, or gave no usable answer in ``n_attempts``.
        """
        if not query:
            raise InfiniGramError("an empty query counts every token of the corpus; give a text")
        refuse_halves(query, "the query")
        with self._answers() as answers:
            key = (self.url, self.index, query)
            kept = answers.execute("SELECT answer FROM answers WHERE url=? AND idx=? AND query=?", key).fetchone()
            if kept is None:
                answer = self._ask_until_answered(query)
                answers.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", (*key, json.dumps(answer)))
            else:
                found = _kept(kept[0])
                if found is None:
                    raise InfiniGramError(f"an answer in {self.cache} is damaged; remove the file, and ask again")
                answer = found
        return WebCount(int(answer["count"]), bool(answer["approx"]), len(answer["token_ids"]))

    @contextmanager
    def _answers(self) -> Iterator[sqlite3.Connection]:
        """The file of answers. Insertions are saved when the block ends without an error."""
        try:
            with closing(sqlite3.connect(self.cache)) as answers, answers:
                yield answers
        except sqlite3.DatabaseError as error:
            raise InfiniGramError(
                f"{self.cache} cannot be used for answers ({error}); remove it if it is damaged, or choose another file"
            ) from error

    def count_all(self, queries: str | Sequence[str]) -> pd.DataFrame:
        """One row per query: ``query``, ``count``, ``approximate``, ``n_tokens``.

        Answers are kept if a later query fails.
        """
        queries = several(queries)
        counts = [self.count(query) for query in queries]
        return pd.DataFrame(
            {
                "query": list(queries),
                "count": [c.count for c in counts],
                "approximate": [c.approximate for c in counts],
                "n_tokens": [c.n_tokens for c in counts],
            }
        )

    def _ask_until_answered(self, query: str) -> dict[str, Any]:
        backoff = wait_exponential(multiplier=self.first_wait, max=60) + wait_random(0, self.first_wait)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(backoff(state), error.wait if isinstance(error, _TransientError) else 0.0)

        attempts = Retrying(
            retry=retry_if_exception_type(_TransientError),
            stop=stop_after_attempt(self.n_attempts),
            wait=wait,
            reraise=True,
        )
        try:
            return attempts(self._ask, query)
        except _TransientError as error:
            raise InfiniGramError(
                f"{self.url} did not answer for index {self.index!r} in {self.n_attempts} attempts; last: {error}. "
                f"Answers so far are in {self.cache}; run again later"
            ) from error

    def _ask(self, query: str) -> dict[str, Any]:
        """One request. Raises ``_TransientError`` if another attempt may help."""
        pause = self._last_start + self.min_interval - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        self._last_start = time.monotonic()
        question = {"index": self.index, "query_type": "count", "query": query}
        try:
            response = self._client.post(self.url, json=question)
        except httpx.TransportError as error:
            raise _TransientError(f"{type(error).__name__}: {error}") from error
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise _TransientError(f"status {response.status_code}", _retry_after(response))
        if not response.is_success:
            raise InfiniGramError(
                f"{self.url} refused index {self.index!r} with status {response.status_code}: {response.text[:200]}"
            )
        try:
            answer = response.json()
        except ValueError as error:
            raise _TransientError(f"an answer that is not JSON: {response.text[:80]!r}") from error
        if isinstance(answer, dict) and "error" in answer:
            raise InfiniGramError(f"{self.url} refused index {self.index!r}: {answer['error']}")
        if not _complete(answer):
            raise _TransientError(f"an answer without count, approx and token_ids: {response.text[:80]!r}")
        return answer


def _kept(text: str) -> dict[str, Any] | None:
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    return answer if _complete(answer) else None


def _check_url(url: str) -> None:
    try:
        known = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InfiniGramError(f"{url!r} is not an address: {error}") from error
    if known.scheme not in {"http", "https"} or not known.host:
        raise InfiniGramError(f"{url!r} is not an address of a service; it must begin with https:// and a name")


def _complete(answer: Any) -> bool:
    return (
        isinstance(answer, dict)
        and isinstance(answer.get("count"), int)
        and answer["count"] >= 0
        and isinstance(answer.get("approx"), bool)
        and isinstance(answer.get("token_ids"), list)
    )


def _retry_after(response: httpx.Response) -> float:
    """Seconds the server asks to wait; 0 if it gives none in seconds."""
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.replace(".", "", 1).isdigit() else 0.0
