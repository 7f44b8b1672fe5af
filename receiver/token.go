package receiver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
)

// TokenHash is the SHA-256 of a token of a hook URL: what is stored in its place. A token has 130
// bits of chance or more, so that its hash can be neither guessed nor looked up.
type TokenHash [sha256.Size]byte

// NewToken makes a random token, to be shown once within a hook URL
// ([Handler.HookURL]), and its hash, to be stored.
func NewToken() (token string, hash TokenHash) {
	token = rand.Text()
	return token, HashToken(token)
}

// HashToken returns the hash of a token.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// ErrNoToken is what [Tokens] answer for a token that is not theirs, or not any more.
var ErrNoToken = errors.New("receiver: no such token")

// Tokens know whose a token is.
type Tokens interface {
	// Owner returns who the token of that hash was made for, 1 to 255 bytes of
	// UTF-8, or [ErrNoToken]. Another error answers the request with 503. It is safe for
	// concurrent use.
	Owner(ctx context.Context, receiver string, hash TokenHash) (string, error)
}

// StaticTokens are hashes by owner. They must not change while they are in use.
type StaticTokens map[string]TokenHash

// Owner implements [Tokens]. Comparison takes constant time, and so does the search.
func (t StaticTokens) Owner(_ context.Context, _ string, hash TokenHash) (string, error) {
	found := ""
	for owner, have := range t {
		if subtle.ConstantTimeCompare(have[:], hash[:]) == 1 {
			found = owner
		}
	}
	if found == "" {
		return "", ErrNoToken
	}
	return found, nil
}
