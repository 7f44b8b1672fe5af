package pginbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
	"github.com/riverhook/riverhook/receiver"
)

// maxOwner is in bytes.
const maxOwner = 255

// Tokens are the tokens of hook URLs in the database, for Receiver.Tokens of any number
// of receivers. Only their hashes are stored. It is safe for concurrent use.
type Tokens struct {
	store *store.Queries
}

var _ receiver.Tokens = (*Tokens)(nil)

// TokensConfig configures [Tokens]. nil is the defaults.
type TokensConfig struct {
	// Schema is the Postgres schema of Riverhook. Default: "riverhook".
	Schema string
}

// NewTokens returns the tokens in the database of pool.
func NewTokens(pool *pgxpool.Pool, cfg *TokensConfig) (*Tokens, error) {
	if pool == nil {
		return nil, errors.New("pginbox: NewTokens needs a pool")
	}
	schema := store.DefaultSchema
	if cfg != nil && cfg.Schema != "" {
		schema = cfg.Schema
	}
	if err := store.CheckSchema(schema); err != nil {
		return nil, fmt.Errorf("pginbox: TokensConfig.Schema: %w", err)
	}
	return &Tokens{store: store.In(pool, schema)}, nil
}

// Create makes a token for the hook URL of a receiver, beside those that the owner has. It is
// in nobody's hands but the caller's: put it into the URL by receiver.Handler.HookURL, and show
// that once. owner is 1 to 255 bytes of UTF-8.
func (t *Tokens) Create(ctx context.Context, name, owner string) (string, error) {
	if err := text.CheckName(name); err != nil {
		return "", fmt.Errorf("pginbox: create a token: receiver: %w", err)
	}
	if owner == "" || len(owner) > maxOwner || !utf8.ValidString(owner) || strings.ContainsRune(owner, 0) {
		return "", errors.New("pginbox: create a token: the owner must be 1 to 255 bytes of UTF-8")
	}
	token, hash := receiver.NewToken()
	if err := t.store.AddInboxToken(ctx, &store.AddInboxTokenParams{
		Hash:     hash[:],
		Receiver: name,
		Owner:    owner,
	}); err != nil {
		return "", fmt.Errorf("pginbox: create a token: %w", err)
	}
	return token, nil
}

// Revoke ends all tokens of an owner for a receiver, and returns how many there were.
// Requests with them are answered 404 from then on, also for events that came before.
func (t *Tokens) Revoke(ctx context.Context, name, owner string) (int, error) {
	revoked, err := t.store.RevokeInboxTokens(ctx, &store.RevokeInboxTokensParams{Receiver: name, Owner: owner})
	if err != nil {
		return 0, fmt.Errorf("pginbox: revoke tokens: %w", err)
	}
	return int(revoked), nil
}

// Owner implements [receiver.Tokens]. It finds the hash through an index; how long that
// takes tells of hashes at most, from which no token can be found.
func (t *Tokens) Owner(ctx context.Context, name string, hash receiver.TokenHash) (string, error) {
	owner, err := t.store.InboxTokenOwner(ctx, &store.InboxTokenOwnerParams{Hash: hash[:], Receiver: name})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", receiver.ErrNoToken
	}
	if err != nil {
		return "", fmt.Errorf("pginbox: find a token: %w", err)
	}
	return owner, nil
}
