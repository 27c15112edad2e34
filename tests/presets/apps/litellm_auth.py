"""Keys with an alias, as virtual keys have one, without the database that keeps those: the key is the alias."""

from fastapi import Request
from litellm.proxy._types import UserAPIKeyAuth


async def user_api_key_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    return UserAPIKeyAuth(api_key=api_key, key_alias=api_key, key_name=api_key)
