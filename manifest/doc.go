// Package manifest keeps sites, event types and subscriptions as a file says: YAML
// or JSON, checked with line numbers, applied as a plan that can be shown first.
//
//	m, err := manifest.Load("webhooks.yaml", nil)
//	applier, err := manifest.New(pool, &manifest.Config{Subscriptions: engine.Subscriptions()})
//	plan, err := applier.Apply(ctx, m) // at each start, in each process
//
// A subscription of the file is recognized by its key. One that is in the file for
// the first time is added; one that the file no longer has is deactivated, and
// reactivated when the file has it again. The fields of a subscription are those of
// the file, whatever they were changed to by other means; what has no place in the
// file, such as a pause, stays as it is. Subscriptions that code has created, or
// another manifest, are never touched.
package manifest
