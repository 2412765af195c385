"""`/credentials`: parse, ask the service, shape the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Response

from tollway.control.credentials.schemas import CredentialChange, CredentialItem, CredentialList, CredentialNew, Done
from tollway.control.credentials.service import CredentialService
from tollway.control.kit.body import warn
from tollway.control.kit.context import ContextDep
from tollway.control.kit.guard import resource_router

router = resource_router("credentials")


async def _credential_service(context: ContextDep) -> CredentialService:
    return CredentialService(context)


Credentials = Annotated[CredentialService, Depends(_credential_service)]


@router.post("/credentials")
async def add_credential(body: CredentialNew, response: Response, credentials: Credentials) -> Done:
    """Keep parameters of a connection under a name that models can refer to. They are sealed, and never shown."""
    warn(response, body, *await credentials.create(body))
    return Done(message="Credential created successfully")


@router.get("/credentials")
async def list_credentials(credentials: Credentials) -> CredentialList:
    """Every credential, secrets masked."""
    return CredentialList(credentials=await credentials.all())


@router.get("/credentials/by_name/{credential_name}")
async def show_credential(credential_name: str, credentials: Credentials) -> CredentialItem:
    """One credential, secrets masked."""
    return await credentials.find(credential_name)


@router.get("/credentials/by_model/{model_id}")
async def show_credential_of_model(model_id: str, credentials: Credentials) -> CredentialItem:
    """What a model connects with, secrets masked."""
    return await credentials.find_by_model(model_id)


@router.patch("/credentials/{credential_name}")
async def update_credential(
    credential_name: str, body: CredentialChange, response: Response, credentials: Credentials
) -> Done:
    """Change the values that are sent; null clears one. Models that use it follow at once."""
    warn(response, body, *await credentials.update(credential_name, body))
    return Done(message="Credential updated successfully")


@router.delete("/credentials/{credential_name}")
async def delete_credential(credential_name: str, credentials: Credentials) -> Done:
    """Remove a credential that no model uses."""
    await credentials.delete(credential_name)
    return Done(message="Credential deleted successfully")
