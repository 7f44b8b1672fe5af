package dialect

// Scheduled is a further ability of a [Dialect]: it names the retry schedule of those
// subscriptions that name none, "" for the engine's default. An engine refuses, when it is
// made, a dialect whose schedule it does not know. The interface will not gain methods.
type Scheduled interface {
	Schedule() string
}
