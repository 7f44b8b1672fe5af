// Package chaos is a test of everything at once. Engines in processes of their own
// deliver what producers commit, while operators kill, freeze and restart the engines,
// cut their sessions, edit River's jobs by hand, move sites, change and delete
// subscriptions, erase resources, redeliver, ask and prune, and while endpoints and
// host code fail in every way, and while an engine that has 256 MiB resident is killed as in
// a container. At the end all trouble is switched off, and what is
// written in the database, what the producers know and what the receiver has counted
// must agree: nothing is lost, stuck, sent to the wrong receivers, or repeated beyond
// what was in flight when an engine was cut off.
//
//	go test ./internal/chaos                                     # the short form
//	go test ./internal/chaos -v -timeout 30m -chaos.for 10m      # make chaos
//	go test ./internal/chaos -chaos.seed 7 -chaos.trouble 'kill|jobs'
//
// The seed decides what operators and producers choose; when it happens is decided by
// the machine.
package chaos
