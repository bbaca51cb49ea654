"""Registrations of webhooks follow what they were made with: a connection's secrets, a hook's address."""

import pytest

from tests.integration.api.conftest import URL
from tests.integration.api.shop import BODY, signed

pytestmark = pytest.mark.integration
SECRETS = ("token", "signing")
BY_CONNECTION = {
    "verify": [
        {
            "type": "hmac",
            "secret": "{{ conn.secret.signing }}",
            "signed": [{"raw": True}],
            "signature": {"value": "{{ req.headers['x-signature'] }}"},
        }
    ]
}
BY_HAND = {"mode": "manual", **BY_CONNECTION}
EXISTING = {
    "request": {"path": "/hooks"},
    "items": "{{ response.body }}",
    "match": "item.url == hook.url",
}


def looking_first(**existing):
    """A registration that is looked for where its answer was lost."""
    return {
        "subscribe": {
            "generate": {"secret": {"type": "hex", "bytes": 32}},
            "request": {
                "method": "POST",
                "path": "/hooks",
                "body": {"url": "{{ hook.url }}", "secret": "{{ generated.secret }}"},
            },
            "save": {"id": "{{ response.body.id }}", "secret": "{{ generated.secret }}"},
        },
        "existing": EXISTING | existing,
    }


@pytest.fixture
def change(api, person):
    """Gives the connection of a task other secrets."""

    async def give(task_id, **secrets):
        task = (await api.get(f"/tasks/{task_id}", headers=person["headers"])).json()
        connection = task["trigger"]["connection"]
        given = await api.patch(f"/connections/{connection}", json={"fields": secrets}, headers=person["headers"])
        assert given.status_code == 200, given.json()
        return connection

    return give


async def status_of(hooks, token, secret, body=BODY):
    """How a delivery with this signature is answered."""
    return (await hooks.post(f"/{token}", content=body, headers=signed(secret, body))).status_code


async def test_signatures_by_a_secret_of_the_connection(hooks, keeper, enabled, shop, database):
    """What `verify` names is sealed for the hooks with the registration, nothing else of the connection is."""
    _, token = await enabled("fol1", secrets=SECRETS, **BY_CONNECTION)
    await keeper.work()
    assert len(shop.hooks) == 1
    assert await status_of(hooks, token, "signing-of-mina") == 202
    for wrong in ("", "token-of-mina", shop.asked[0][1]["secret"]):
        assert await status_of(hooks, token, wrong, b'{"id": "o-2"}') == 401
    rows = await database.fetch("SELECT row_to_json(s)::text AS row FROM subscriptions s")
    assert [row for row in rows if "of-mina" in row["row"]] == []


async def test_another_secret_registers_again(hooks, keeper, enabled, shop, change):
    """The new registration comes first and the old one ends after it; then only the new secret is good."""
    task_id, token = await enabled("fol2", secrets=SECRETS, **BY_CONNECTION)
    await keeper.work()
    await change(task_id, token="token-2", signing="signing-2")
    await keeper.work()
    assert await status_of(hooks, token, "signing-of-mina", b'{"id": "in flight"}') == 202
    await keeper.work()
    assert [method for method, _ in shop.asked] == ["POST", "POST", "DELETE"]
    assert len(shop.hooks) == 1
    assert await status_of(hooks, token, "signing-2", b'{"id": "new"}') == 202


async def test_the_former_secret_opens_nothing(hooks, keeper, enabled, change, monkeypatch):
    """A replica forgets within seconds what it checked with; a secret that was taken back is good no more."""
    task_id, token = await enabled("fol3", secrets=SECRETS, **BY_HAND)
    await keeper.work()
    assert await status_of(hooks, token, "signing-of-mina") == 202
    await change(task_id, token="token-2", signing="signing-2")
    await keeper.work()
    await keeper.work()
    monkeypatch.setattr("taske_ray.services.known_hooks._trusted_s", 0.0)
    assert await status_of(hooks, token, "signing-of-mina", b'{"id": "late"}') == 401
    assert await status_of(hooks, token, "signing-2", b'{"id": "new"}') == 202


async def test_refreshed_tokens_register_nothing_again(keeper, enabled, shop, database):
    """A token that the machine renewed is the same credential: a new version of the connection, and no request."""
    await enabled("fol4", secrets=SECRETS, **BY_CONNECTION)
    await keeper.work()
    await database.fetch("UPDATE connections SET version = version + 1 WHERE module = 'fol4' RETURNING id")
    await keeper.work()
    assert [method for method, _ in shop.asked] == ["POST"]


async def test_an_address_pasted_by_hand_waits_for_its_secret(api, hooks, keeper, enabled, person, shop):
    """Before a client has sealed the secret senders are asked to come again; with the connection it is gone."""
    task_id, token = await enabled("fol5", secrets=SECRETS, **BY_HAND)
    early = await hooks.post(f"/{token}", content=BODY, headers=signed("signing-of-mina"))
    assert (early.status_code, early.headers["retry-after"]) == (503, "2")
    await keeper.work()
    assert shop.asked == []
    assert await status_of(hooks, token, "signing-of-mina") == 202
    assert await status_of(hooks, token, "token-of-mina", b"{}") == 401
    task = (await api.get(f"/tasks/{task_id}", headers=person["headers"])).json()
    await api.delete(f"/connections/{task['trigger']['connection']}", headers=person["headers"])
    assert await status_of(hooks, token, "", b"{}") == 401


async def test_a_deleted_connection_takes_along_what_was_kept_of_it(
    api, keeper, enabled, person, database, hooks, monkeypatch
):
    """Nothing of its secret is left in any registration, and nothing that it signed is taken."""
    monkeypatch.setattr("taske_ray.services.known_hooks._trusted_s", 0.0)
    task_id, token = await enabled("fol6", secrets=SECRETS, **BY_HAND)
    await keeper.work()
    task = (await api.get(f"/tasks/{task_id}", headers=person["headers"])).json()
    await api.delete(f"/connections/{task['trigger']['connection']}", headers=person["headers"])
    assert await status_of(hooks, token, "signing-of-mina") == 401
    await keeper.work()
    await keeper.work()
    kept = "SELECT status, error->>'code' AS code, sealed IS NULL AS empty FROM subscriptions WHERE capability = %(c)s"
    rows = await database.fetch(kept, {"c": "fol6.order"})
    assert rows == [{"status": "subscribing", "code": "unknown_connection", "empty": True}]


async def test_another_address_is_told_to_the_service(api, hooks, keeper, enabled, person, shop):
    """After a rotation the service calls the new address, the old one is nobody's, there and here."""
    task_id, old = await enabled("fol7")
    await keeper.work()
    rotated = await api.post(f"/tasks/{task_id}/rotate-hook", headers=person["headers"])
    new = rotated.json()["trigger"]["hook_url"].rpartition("/")[2]
    await keeper.work()
    await keeper.work()
    assert [method for method, _ in shop.asked] == ["POST", "POST", "DELETE"]
    [left] = shop.hooks.values()
    assert left["url"] == f"{URL}/hooks/{new}"
    assert await status_of(hooks, new, left["secret"]) == 202
    assert await status_of(hooks, old, left["secret"]) == 404


async def test_another_public_address_of_the_instance_is_told_at_the_next_look(keeper, enabled, shop):
    """Where `TASKE_PUBLIC_URL` has changed the service is given the new one, with the same token; the old one ends."""
    _, token = await enabled("fol12")
    await keeper.work()
    keeper._url = "http://moved.test"
    await keeper.again()
    await keeper.work()
    assert [method for method, _ in shop.asked] == ["POST", "POST", "DELETE"]
    [left] = shop.hooks.values()
    assert left["url"] == f"http://moved.test/hooks/{token}"


async def test_what_ends_all_is_not_asked_for_while_another_stands(api, keeper, enabled, person, shop):
    """A service that knows one address only forgets the new one if it is asked to forget: it is not asked."""
    clearing = {"unsubscribe": {"request": {"method": "DELETE", "path": "/hooks"}}}
    task_id, _ = await enabled("fol8", **clearing)
    await keeper.work()
    await api.post(f"/tasks/{task_id}/rotate-hook", headers=person["headers"])
    await keeper.work()
    await keeper.work()
    assert [method for method, _ in shop.asked] == ["POST", "POST"]
    await api.post(f"/tasks/{task_id}/disable", headers=person["headers"])
    await keeper.work()
    assert (shop.asked[-1][0], shop.hooks) == ("CLEAR", {})


async def lose_the_answer(keeper, monkeypatch):
    """The process dies between the service's answer and the COMMIT; another one goes on."""
    settle = keeper._store.settle

    async def die(subscription_id, settled):
        if settled.status == "active":
            raise RuntimeError("killed here")
        await settle(subscription_id, settled)

    with monkeypatch.context() as patch:
        patch.setattr(keeper._store, "settle", die)
        with pytest.raises(RuntimeError, match="killed here"):
            await keeper.work()
    await keeper.again()


async def test_a_lost_answer_is_looked_for(hooks, keeper, enabled, shop, monkeypatch):
    """A service that refuses what it has already is asked what it has, and that is the registration."""
    shop.once_each = True
    _, token = await enabled("fol9", **looking_first())
    await lose_the_answer(keeper, monkeypatch)
    assert [method for method, _ in shop.asked] == ["POST", "LIST"]
    await keeper.again()
    assert shop.asked[-1] == ("GET", "1")
    assert await status_of(hooks, token, shop.asked[0][1]["secret"]) == 202


async def test_a_lost_answer_that_held_the_secret_is_asked_for_again(keeper, enabled, shop, monkeypatch):
    """What cannot be kept is ended, and registered anew: one registration is left and it is the one that we know."""
    await enabled("fol10", **looking_first(keep=False))
    await lose_the_answer(keeper, monkeypatch)
    assert [method for method, _ in shop.asked] == ["POST", "LIST", "DELETE", "POST"]
    assert list(shop.hooks) == ["4"]


async def test_nothing_there_is_registered(keeper, enabled, shop):
    """A request that was refused left nothing: the list is empty, and the registration is made."""
    shop.status = 503
    await enabled("fol11", **looking_first())
    await keeper.work()
    shop.status = 201
    await keeper.again()
    assert [method for method, _ in shop.asked] == ["POST", "LIST", "POST"]
