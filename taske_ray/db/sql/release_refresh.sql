-- The provider was asked and gave nothing: the lease is given back, the tokens stay what they are.
UPDATE connections SET refresh_owner = NULL, refresh_until = NULL, refresh_tries = 0
WHERE id = %(connection_id)s AND user_id IS NOT DISTINCT FROM %(owner)s
  AND refresh_owner = %(client)s AND refresh_until = %(until)s
