package accesstest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
)

// desk lets ann view, and nobody do anything else.
func desk(_ context.Context, a access.Action) error {
	if a.Principal == "ann" && a.Verb == access.VerbView {
		return nil
	}
	return access.ErrDenied
}

func actions() []ActionCase {
	return []ActionCase{
		{Name: "ann views", Action: access.Action{
			Principal: "ann",
			Verb:      access.VerbView,
			Events:    []string{"user.*"},
		}},
		{
			Name:   "ann deletes",
			Action: access.Action{Principal: "ann", Verb: access.VerbDelete},
			Want:   access.ErrDenied,
		},
	}
}

type batchDesk struct {
	access.AuthorizerFunc

	many func(as []access.Action) []error
}

func (d batchDesk) AuthorizeMany(_ context.Context, as []access.Action) []error { return d.many(as) }

func TestRunAuthorizer_AcceptsAuthorizersThatKeepTheContract(t *testing.T) {
	t.Parallel()
	for name, auth := range map[string]access.Authorizer{
		"function": access.AuthorizerFunc(desk),
		"fails closed": access.AuthorizerFunc(func(ctx context.Context, a access.Action) error {
			return access.AuthorizeAll(ctx, access.AuthorizerFunc(desk), []access.Action{a})[0]
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			RunAuthorizer(t, auth, actions())
		})
	}
}

func TestRunAuthorizer_FindsBrokenAuthorizers(t *testing.T) {
	t.Parallel()
	everything := access.AuthorizerFunc(func(context.Context, access.Action) error { return nil })

	t.Run("AnotherAnswer", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, decides(t.Context(), everything, actions()[1]), `ann deletes: got "allowed"`)
		require.ErrorContains(t, decides(t.Context(), access.AuthorizerFunc(nil), actions()[0]), `want "allowed"`)
		require.ErrorContains(t, decidesConcurrently(t.Context(), everything, actions()), `ann deletes: got "allowed"`)
	})

	t.Run("AVerbThatItDoesNotKnow", func(t *testing.T) {
		t.Parallel()
		allButDelete := access.AuthorizerFunc(func(_ context.Context, a access.Action) error {
			if a.Verb == access.VerbDelete || a.Principal == "" {
				return access.ErrDenied
			}
			return nil
		})
		require.ErrorContains(t, deniesUnknown(t.Context(), allButDelete, actions()), "unheard-of")
	})

	t.Run("NobodyIsAllowed", func(t *testing.T) {
		t.Parallel()
		views := access.AuthorizerFunc(func(_ context.Context, a access.Action) error {
			if a.Verb == access.VerbView {
				return nil
			}
			return access.ErrDenied
		})
		require.ErrorContains(t, deniesUnknown(t.Context(), views, actions()), `"view" is allowed to ""`)
	})

	t.Run("AnActionThatIsModified", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, leavesActions(t.Context(), access.AuthorizerFunc(func(_ context.Context, a access.Action) error {
			clear(a.Events)
			return nil
		}), actions()), "modified")
	})

	t.Run("ACancelledCallThatDecides", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, decidesLate(access.AuthorizerFunc(func(ctx context.Context, a access.Action) error {
			if ctx.Err() == nil {
				return desk(ctx, a)
			}
			return nil
		}), actions(), patience), "decided")
	})

	t.Run("AnAuthorizerThatIgnoresItsContext", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			stuck := make(chan struct{})
			defer close(stuck)
			require.ErrorContains(t, decidesLate(access.AuthorizerFunc(func(context.Context, access.Action) error {
				<-stuck
				return nil
			}), actions(), time.Minute), "did not return")
		})
	})

	t.Run("ABatchThatDisagrees", func(t *testing.T) {
		t.Parallel()
		for name, many := range map[string]func(as []access.Action) []error{
			"1 answers to no action": func(as []access.Action) []error { return make([]error, len(as)+1) },
			"0 answers to 4 actions": func([]access.Action) []error { return nil },
			"answer 2":               func(as []access.Action) []error { return make([]error, len(as)) },
		} {
			require.ErrorContains(t, decidesMany(t.Context(), batchDesk{desk, many}, actions()), name)
		}
	})
}
