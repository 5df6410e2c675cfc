"""Editing within LiteLLM's proxy, through its ``async_pre_call_hook``.

Beside its ``config.yaml`` put a file ``facts.py``::

    from scr.gateway.litellm_hook import FactsHandler

    handler = FactsHandler()

and name it there: ``litellm_settings: {callbacks: facts.handler}``. The environment says where the facts are: see
:func:`scr.gateway.embedded.open_editor`.
"""

from __future__ import annotations

from typing import Any

from litellm.integrations.custom_logger import CustomLogger
from starlette.exceptions import HTTPException

from scr.context import Form
from scr.errors import ScrError
from scr.gateway.deciding import CannotDecide
from scr.gateway.editing import STEERING, Editor, Steering, differences, prompts_in
from scr.gateway.embedded import open_editor
from scr.gateway.keys import ANYONE
from scr.gateway.refusals import refusal_of

_FORMS: dict[str, Form] = {
    "completion": "chat",
    "acompletion": "chat",
    "text_completion": "completion",
    "atext_completion": "completion",
}


class FactsHandler(CustomLogger):  # type: ignore[misc]
    """Puts the facts that govern a request into it, before LiteLLM sends it on.

    Args:
        editor: decides and renders; None opens one as the environment says.

    Raises:
        ScrError: it cannot be opened.
    """

    def __init__(self, editor: Editor | None = None) -> None:
        super().__init__()
        self._editor = editor or open_editor()

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """The request as it is to be sent on: the very object that came if no fact governs it.

        Raises:
            HTTPException: its steering is not of the form, or it cannot be decided and is then to be refused.
        """
        del user_api_key_dict, cache
        form = _FORMS.get(call_type)
        if form is None:
            return data
        try:
            steering = Steering.of(data.pop(STEERING)) if STEERING in data else Steering()
            if steering.mode == "off":
                return data
            return await self._edited(form, data, steering)
        except ScrError as error:
            refusal = refusal_of(error)
            raise HTTPException(refusal.status, str(refusal), refusal.headers) from error

    async def _edited(self, form: Form, data: dict[str, Any], steering: Steering) -> dict[str, Any]:
        prompts = dict(prompts_in(form, data))
        try:
            contexts = await self._editor.contexts(
                list(prompts.values()), self._editor.allowed(steering, ANYONE), steering.as_of
            )
        except CannotDecide:
            if self._editor.on_failure == "refuse":
                raise
            return data
        for (path, prompt), (_, context) in zip(prompts.items(), contexts, strict=True):
            if any(differences(path, prompt, context)):
                data = _with(data, path, context.prompt)
        return data


def _with(data: dict[str, Any], path: tuple[str | int, ...], prompt: Any) -> dict[str, Any]:
    """The request with another prompt at a place; what came is not altered."""
    name = str(path[0])
    if len(path) == 1:
        return {**data, name: prompt}
    several = list(data[name])
    several[int(path[1])] = prompt
    return {**data, name: several}
