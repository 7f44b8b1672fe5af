-- name: GetSubscriptions :many
SELECT * FROM /* TEMPLATE: schema */subscription WHERE id = ANY ((@ids::text[])::uuid[]) ORDER BY id;
