// Package deliverytest is for tests and examples of what sends and receives
// webhooks: a receiver on loopback that answers as scripted, records what it was
// sent and verifies signatures; Drain, which does what is due and lets time pass; and
// Template, a database for each test.
//
// Tests that share a database share its jobs: Drain of one does, and lets time pass for,
// the work of the others. Give each test that runs in parallel a database, by Template,
// or a Schema of its own, in delivery.Config, outbox.Config and outbox.MigrateOpts.
package deliverytest
