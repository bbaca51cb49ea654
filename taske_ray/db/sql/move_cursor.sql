-- A poll's cursor moves only from the version that its check read; the loser of a race discards its page.
UPDATE triggers SET cursor = %(cursor)s::jsonb, cursor_version = cursor_version + 1, consecutive_errors = 0
WHERE id = %(id)s AND enabled AND cursor_version = %(read)s
RETURNING id
