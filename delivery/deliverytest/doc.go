// Package deliverytest is for tests and examples of what sends and receives
// webhooks: a receiver on loopback that answers as scripted, records what it was
// sent and verifies signatures.
package deliverytest
