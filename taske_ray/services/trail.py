"""Writing the audit trail: who did what to which thing, in the transaction that does it (security, 17.1)."""

from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.db import audit
from taske_ray.db.database import Transaction
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal


async def record(
    tx: Transaction,
    action: str,
    *,
    by: Principal | UUID | None,
    origin: Origin | None = None,
    result: str = "ok",
    **columns: Any,
) -> None:
    """One row. `by` is the caller, or the user whom an act of nobody known is about; `columns` as in `add_audit`."""
    if isinstance(by, Principal):
        columns = {"session_id": by.session_id, "key_id": by.key_id, **columns}
    user_id = by.user_id if isinstance(by, Principal) else by
    address = origin.address if origin else None
    await audit.add_audit(
        tx, entry_id=new_id(), action=action, result=result, user_id=user_id, address=address, **columns
    )
