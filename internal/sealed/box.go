package sealed

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/riverhook/riverhook/internal/ttlcache"
	"github.com/riverhook/riverhook/seal"
)

const (
	// callTimeout bounds one call of a Sealer.
	callTimeout = 10 * time.Second

	// remembered bounds, twice, the opened values that a box remembers. Each takes some
	// 300 bytes.
	remembered = 10_000
)

// Check says what to do where there is no Sealer.
func Check(s seal.Sealer) error {
	if v := reflect.ValueOf(s); s == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return errors.New("is required: seal.ParseKeyset with a key from your secret manager (seal.NewKey makes one), " +
			"or an AEAD of Tink; seal.Clear() stores secrets in clear")
	}
	return nil
}

// Box seals and opens with one Sealer. It remembers what it has opened, by the sealed
// bytes and their location, as long as there is room. It is safe for concurrent use.
type Box struct {
	inClear bool
	memory  *ttlcache.Cache[string, string]
	opening singleflight.Group // so that many deliveries of one subscription ask once
	sealer  seal.Sealer
}

// NewBox makes a box of a Sealer that Check has passed.
func NewBox(s seal.Sealer) *Box {
	return &Box{
		sealer:  s,
		inClear: s == seal.Clear(),
		memory:  ttlcache.New(ttlcache.Config[string, string]{Size: remembered}, time.Now()),
	}
}

// memoryKey is the key of an opened value. The location is part of it: a sealed value that
// was copied to another row must not be found.
func memoryKey(at Location, v Value) string {
	return string(append(append(at.associatedData(), 0), v.Bytes...))
}

// Seal makes of plaintext what is to be stored at a location.
func (b *Box) Seal(ctx context.Context, at Location, plaintext []byte) (Value, error) {
	if b.inClear {
		return Value{Bytes: bytes.Clone(plaintext)}, nil
	}
	done := make(chan singleflight.Result, 1)
	go func() {
		ciphertext, err := safely(func() ([]byte, error) { return b.sealer.Encrypt(plaintext, at.associatedData()) })
		done <- singleflight.Result{Val: ciphertext, Err: err}
	}()
	ciphertext, err := b.await(ctx, done)
	if err != nil {
		return Value{}, fmt.Errorf("seal %s.%s: %w", at.Table, at.Column, err)
	}
	return Value{Bytes: ciphertext, Sealed: true}, nil
}

// OpenError means that the Sealer did not open a value.
type OpenError struct {
	At  Location
	Key string // the id of the key that is missing, with which the value begins; "": it is not known
	Err error
}

// missingKey is the id of the key that the Sealer says is missing, if the value begins with it.
func missingKey(err error, v Value) string {
	var missing interface{ KeyID() string }
	if !errors.Is(err, seal.ErrNoKey) || !errors.As(err, &missing) {
		return ""
	}
	id, err := hex.DecodeString(missing.KeyID())
	if err != nil || len(id) == 0 || !bytes.HasPrefix(v.Bytes, id) {
		return ""
	}
	return missing.KeyID()
}

// Error implements error.
func (e *OpenError) Error() string {
	return fmt.Sprintf("open %s.%s: %v", e.At.Table, e.At.Column, e.Err)
}

// Unwrap returns the cause.
func (e *OpenError) Unwrap() error { return e.Err }

// Open returns what was sealed for a location. A value that is stored in clear is
// returned as it is, whatever the Sealer. The error is an OpenError.
func (b *Box) Open(ctx context.Context, at Location, v Value) ([]byte, error) {
	if plaintext, ok := b.Recall(at, v); ok {
		return plaintext, nil
	}
	if b.inClear {
		return nil, &OpenError{At: at, Err: fmt.Errorf("%w: it is sealed, and this process has seal.Clear", seal.ErrNoKey)}
	}
	key := memoryKey(at, v)
	plaintext, err := b.await(ctx, b.opening.DoChan(key, func() (any, error) {
		if known, ok := b.memory.Get(key); ok { // somebody was quicker
			return []byte(known), nil
		}
		out, err := safely(func() ([]byte, error) { return b.sealer.Decrypt(v.Bytes, at.associatedData()) })
		if err == nil {
			b.memory.Update(key, func(string, bool) string { return string(out) })
		}
		return out, err
	}))
	if err != nil {
		b.opening.Forget(key) // it may hang: who comes next asks again
		return nil, &OpenError{
			At:  at,
			Key: missingKey(err, v),
			Err: err,
		}
	}
	return bytes.Clone(plaintext), nil
}

// Recall is Open where nobody has to be asked.
func (b *Box) Recall(at Location, v Value) ([]byte, bool) {
	if !v.Sealed {
		return bytes.Clone(v.Bytes), true
	}
	plaintext, ok := b.memory.Get(memoryKey(at, v))
	if !ok {
		return nil, false
	}
	return []byte(plaintext), true
}

// IsCurrent says that sealing a value anew would change nothing: the key that
// seals now has sealed it. A Sealer that cannot tell is asked to seal anew.
func (b *Box) IsCurrent(v Value) bool {
	if b.inClear || !v.Sealed {
		return b.inClear && !v.Sealed
	}
	rotating, ok := b.sealer.(seal.Rotating)
	return ok && rotating.IsCurrent(v.Bytes)
}

// await gives the Sealer its deadline, though it takes no context: its goroutine
// may outlive the call.
func (b *Box) await(ctx context.Context, done <-chan singleflight.Result) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no answer of the Sealer within %s", callTimeout))
	defer cancel()
	select {
	case r := <-done:
		out, _ := r.Val.([]byte)
		return out, r.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// safely turns a panic into an error. It does not say what the panic said, which
// might be what was to be sealed.
func safely(call func() ([]byte, error)) (out []byte, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the Sealer panicked")
		}
	}()
	return call()
}
