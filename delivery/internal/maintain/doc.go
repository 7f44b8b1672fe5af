// Package maintain has the work of an engine that no job does, one task a file. A
// [Maintainer] runs them in rounds: it closes intents ([IntentCloser]), makes held deliveries
// due ([HeldReleaser], [CircuitProber]) or ends them ([HeldExpirer]), inserts jobs that were
// lost ([Reconciler]) and deactivates subscriptions ([Deactivator]). A [Pruner] removes what
// is not kept any more.
package maintain
