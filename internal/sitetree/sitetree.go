// Package sitetree asks which sites are above a site: the table of sites, or the tree of
// an application, which gets a deadline and is not trusted.
package sitetree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/text"
)

const (
	// DefaultTimeout is how long a tree of the application may take for one answer.
	DefaultTimeout = 5 * time.Second

	// MaxLooks is how often a lookup is made again because the tree has changed
	// meanwhile.
	MaxLooks = 5
)

var (
	// ErrChanges is hierarchy.ErrTreeChanges.
	ErrChanges = errors.New("the tree changes all the time")

	// ErrContract means that an answer of a tree is none.
	ErrContract = errors.New("the tree broke its contract")
)

// Tree is a hierarchy.Tree.
type Tree interface {
	Ancestors(ctx context.Context, p access.Path) ([]access.Path, error)
}

type batchTree interface {
	AncestorsMany(ctx context.Context, paths []access.Path) ([][]access.Path, error)
}

type versionedTree interface {
	Version(ctx context.Context) (string, error)
}

// Chain is the sites from one up to "/", nearest first.
type Chain struct {
	Sites []access.Path
	Token string // stays the same while the sites do; "" if they cannot change
}

// TokenOf is the token of sites that the tree of an application has named.
func TokenOf(sites []access.Path) string {
	texts := make([]string, len(sites))
	for i, p := range sites {
		texts[i] = string(p)
	}
	sum := sha256.Sum256([]byte(strings.Join(texts, " ")))
	return hex.EncodeToString(sum[:16])
}

// Steadily runs f until the tree has the same version before and after it.
func Steadily(ctx context.Context, tree Tree, timeout time.Duration, f func(version string) error) error {
	before, err := VersionOf(ctx, tree, timeout)
	if err != nil {
		return err
	}
	for range MaxLooks {
		if err := f(before); err != nil {
			return err
		}
		after, err := VersionOf(ctx, tree, timeout)
		if err != nil || after == before {
			return err
		}
		before = after
	}
	return ErrChanges
}

// VersionOf is the version of a tree; "" if it has none.
func VersionOf(ctx context.Context, tree Tree, timeout time.Duration) (string, error) {
	versioned, ok := tree.(versionedTree)
	if !ok {
		return "", nil
	}
	version, err := Call(ctx, timeout, versioned.Version)
	if err != nil {
		return "", fmt.Errorf("tree: version: %w", err)
	}
	return version, nil
}

// Call calls a tree of the application. It keeps the deadline also if the tree does not
// look at its context; the goroutine of the call may then outlive it. A panic is an error.
func Call[T any](ctx context.Context, timeout time.Duration, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: fmt.Errorf("%w: it ended its goroutine", ErrContract)}
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: fmt.Errorf("%w: panic: %v", ErrContract, p)}
			}
			done <- a
		}()
		a.value, a.err = call(ctx)
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("no answer within %s: %w", timeout, ctx.Err())
	}
}

// AncestorsMany asks a tree for the ancestors of many paths: at once, if it can do that.
func AncestorsMany(ctx context.Context, tree Tree, paths []access.Path) ([][]access.Path, error) {
	batch, ok := tree.(batchTree)
	if !ok {
		return EachAncestors(ctx, tree, paths)
	}
	chains, err := batch.AncestorsMany(ctx, paths)
	if err == nil && len(chains) != len(paths) {
		err = fmt.Errorf("%w: %d answers for %d paths", ErrContract, len(chains), len(paths))
	}
	return chains, err
}

// EachAncestors asks a tree for the ancestors of one path after the other.
func EachAncestors(ctx context.Context, tree Tree, paths []access.Path) ([][]access.Path, error) {
	chains := make([][]access.Path, len(paths))
	for i, p := range paths {
		chain, err := tree.Ancestors(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("ancestors of %s: %w", text.Quote(string(p)), err)
		}
		chains[i] = chain
	}
	return chains, nil
}

// CheckAncestors says why an answer of a tree for p would forget a subscription.
func CheckAncestors(p access.Path, chain []access.Path) error {
	if err := checkChain(chain); err != nil {
		return fmt.Errorf("tree: ancestors of %s: %w: %w", text.Quote(string(p)), ErrContract, err)
	}
	return nil
}

func checkChain(chain []access.Path) error {
	if len(chain) == 0 || chain[len(chain)-1] != root {
		return fmt.Errorf(`%d sites that do not end with "/"`, len(chain))
	}
	for i, p := range chain {
		if err := CheckPath(string(p)); err != nil {
			return fmt.Errorf("%s: %w", text.Quote(string(p)), err)
		}
		if slices.Contains(chain[:i], p) {
			return fmt.Errorf("%s is there twice", text.Quote(string(p)))
		}
	}
	return nil
}
