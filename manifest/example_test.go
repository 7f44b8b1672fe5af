package manifest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/manifest"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// A file is shown as a plan, applied, and applied again in its next version.
func Example() {
	ctx := context.Background()
	pool, remove := examplePool()
	defer remove()

	policy, err := egress.New(nil)
	check(err)
	subs, err := subscription.NewStore(pool, &subscription.Config{CheckURL: policy.CheckURL, Sealer: seal.Clear()})
	check(err) // or engine.Subscriptions()
	applier, err := manifest.New(pool, &manifest.Config{Subscriptions: subs})
	check(err)

	read := func(text string) *manifest.Manifest {
		m, err := manifest.Parse("webhooks.yaml", []byte(text), nil) // or Load
		check(err)
		return m
	}
	first := read(`
sites: [/noaa]
subscriptions:
  audit:
    operator: true
    url: https://audit.example/hooks
    events: ["**"]
  crm:
    owner: ada@example.com
    site: /noaa
    url: https://crm.example/hooks
    events: [user.created, user.deleted]
`)
	plan, err := applier.Plan(ctx, first)
	check(err)
	fmt.Print(plan)
	_, err = applier.Apply(ctx, first)
	check(err)

	plan, err = applier.Apply(ctx, read(`
sites: [/noaa]
subscriptions:
  crm:
    owner: ada@example.com
    site: /noaa
    url: https://crm.example/v2/hooks
    events: [user.*]
`))
	check(err)
	fmt.Print(plan)

	plan, err = applier.Apply(ctx, first)
	check(err)
	fmt.Print(plan)

	// Output:
	// manifest "default": 3 added
	//   added        site          /noaa
	//   added        subscription  audit
	//   added        subscription  crm
	// manifest "default": 1 changed, 1 deactivated, 1 unchanged
	//   changed      subscription  crm: events, url
	//   deactivated  subscription  audit
	// manifest "default": 1 changed, 1 reactivated, 1 unchanged
	//   reactivated  subscription  audit
	//   changed      subscription  crm: events, url
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func ExampleParse() {
	const text = `
subscriptions:
  crm:
    url: https://${HOST}/hooks
    events: [user]
    timeout: 10
    secret: ${CRM_SECRET}
`
	env := func(string) (string, bool) { return "", false }
	_, err := manifest.Parse("webhooks.yaml", []byte(text), &manifest.ParseOpts{Env: env})
	fmt.Println(err)
	fmt.Println(errors.Is(err, manifest.ErrInvalid))
	// Output:
	// webhooks.yaml:4:10: subscriptions.crm.url: has "${": variables are for what is secret: secret, secret_headers, credentials and tls
	// webhooks.yaml:5:14: subscriptions.crm.events[0]: pattern "user": matches no event type: they have 2 to 8 segments; "**" matches all
	// webhooks.yaml:6:14: subscriptions.crm.timeout: must be a text; put it in quotes
	// webhooks.yaml:7:13: subscriptions.crm.secret: the environment has no CRM_SECRET
	// true
}
