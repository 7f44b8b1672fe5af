// Package maintain has the work of an engine that no job does, one task a file. A
// [Maintainer] runs them in rounds: it makes held deliveries due ([HeldReleaser],
// [CircuitProber]) or ends them ([HeldExpirer]), releases what is held for causes ([CauseProber],
// [CauseReviewer]) or ends it ([DecisionExpirer]), inserts jobs that were lost and ends the
// watch over intents that carry nothing any more ([Reconciler]), and deactivates
// subscriptions ([Deactivator]). A [Pruner] removes what is not kept any more. A round reads
// no more the more is there ([Pace]); what concerns all engines is done by the one that has the
// [Lease].
package maintain
