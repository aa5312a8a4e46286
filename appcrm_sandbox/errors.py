"""Errors of the sandbox: those that stop it, and those that it answers with."""

from __future__ import annotations

from typing import Any


class SandboxError(Exception):
    """Something that keeps the sandbox from serving; its text is one sentence for a person."""


class ApiError(Exception):
    """An answer other than success: a status, a JSON payload and further headers."""

    def __init__(self, status: int, payload: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.payload = payload
        self.headers = headers or {}


def invalid(errors: dict[str, list[str]]) -> ApiError:
    """A 422 as Laravel words it: the first text, how many more there are, and all of them by field."""
    texts = [text for field in errors.values() for text in field]
    message = texts[0]
    if len(texts) > 1:
        message = f"{message} (e mais {len(texts) - 1} {'erro' if len(texts) == 2 else 'erros'})"
    return ApiError(422, {"message": message, "errors": errors})


def not_found() -> ApiError:
    """A 404 that does not tell a deleted record from one that never was."""
    return ApiError(404, {"message": "Registro não encontrado."})


def server_error(text: str) -> ApiError:
    """A 500 as the CRM gives it where a request makes a query that its database refuses."""
    return ApiError(500, {"message": f"Server Error: {text}"})
