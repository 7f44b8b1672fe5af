-- name: Beat :exec
INSERT INTO /* TEMPLATE: schema */engine (id) VALUES (@id)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = now();

-- name: RemoveEngine :exec
DELETE FROM /* TEMPLATE: schema */engine WHERE id = @id;
