package access_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverhook/riverhook/access"
)

// offices says where each principal works: they may see what is at or below.
type offices map[string]access.Path

func (o offices) Check(_ context.Context, r access.Request) error {
	office, ok := o[r.Principal]
	switch {
	case !ok:
		return access.ErrUnknownPrincipal
	case !office.Contains(r.Site):
		return fmt.Errorf("%w: %s is not under %s", access.ErrDenied, r.Site, office)
	default:
		return nil
	}
}

// CheckMany is optional: a checker with a database answers all by one query.
func (o offices) CheckMany(ctx context.Context, rs []access.Request) []error {
	answers := make([]error, len(rs))
	for i, r := range rs {
		answers[i] = o.Check(ctx, r)
	}
	return answers
}

func ExampleRegistry() {
	registry, err := access.NewRegistry(nil)
	if err != nil {
		panic(err)
	}
	err = registry.Register("user", offices{"president": "/", "head": "/noaa", "manager": "/noaa/nws/oun"})
	if err != nil {
		panic(err)
	}

	// The user is deleted; where it was is enough to decide.
	deleted := access.Request{
		Permission: "view",
		Site:       "/noaa/nws/ama",
		EventType:  "user.deleted",
		Resource:   access.Resource{Kind: "user", ID: "42"},
	}
	for _, principal := range []string{"president", "head", "manager", "nobody"} {
		deleted.Principal = principal
		fmt.Printf("%s: %v\n", principal, registry.Check(context.Background(), deleted))
	}

	deleted.Resource.Kind = "invoice"
	fmt.Println(errors.Is(registry.Check(context.Background(), deleted), access.ErrNoChecker))
	// Output:
	// president: <nil>
	// head: <nil>
	// manager: access: denied: /noaa/nws/ama is not under /noaa/nws/oun
	// nobody: access: unknown principal
	// true
}
