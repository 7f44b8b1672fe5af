package delivery

import (
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/subscription"
)

// minBytesInFlight bounds Limits.BytesInFlight.
const minBytesInFlight = 1 << 20

// maxRequestBytes bounds Limits.RequestBytes: a message is one value of the database and
// one piece of memory.
const maxRequestBytes = 128 << 20

// mostInFlightPerEndpoint bounds Limits.MaxInFlightPerEndpoint.
const mostInFlightPerEndpoint = 1000

// Limits bound what an engine does at once, and the size of what it sends and keeps.
type Limits struct {
	// BytesInFlight is the most bytes that payloads have in the memory of this engine: the
	// data of intents and the messages that are sent, of first attempts, retries, questions
	// and whatever is done again. One event for many subscriptions counts once for each
	// dialect. Payloads of up to 4 KiB do not count: they are bounded by Workers.
	//
	// A job takes what it needs in one step before it loads anything, and has nothing but
	// its id in memory while it waits. What is larger than all of BytesInFlight goes alone.
	// While more is wanted than there is room for, the share of the event (outbox.Intent.Share,
	// not ShareOf) that holds the fewest bytes is next. One share has three quarters at most: an eighth is kept for shares
	// that hold few, and an eighth for the questions of Engine.Ask. What an externalizer or a dialect
	// makes is known when it has been made: it is expected to be as large as the last ones
	// were, and what is more is counted without waiting. A process needs about twice this,
	// since garbage is collected late, and some 50 MiB. At least 1 MiB. Default: 64 MiB.
	BytesInFlight int

	// ChunkSize is the most subscriptions that one River job expands, in one
	// transaction, and holds in memory, and the most that Ask asks. Default: 500.
	ChunkSize int

	// FilterCostPerOwner is the most that the filters of one owner's subscriptions may cost
	// for one event, in each chunk of ChunkSize subscriptions: in the units of
	// filter.Opts.MaxCost, of roughly 150 ns each, at least 500 for each evaluation. What is
	// to be evaluated after that, in the order of the subscriptions' ids, is a filter_error,
	// which Engine.RetryFailed makes again. Equal filters of an owner count once, and
	// subscriptions of operators have no limit. Default: 200,000, about 30 ms of a processor.
	// -1 is no limit.
	FilterCostPerOwner int

	// InFlight is the most requests that this engine has under way at once. One share
	// alone (see ShareOf) has all of them but an eighth, at least one if there are two,
	// which is kept for questions, pings, challenges and shares that have few. While more
	// wait than there is room for, the share that has the fewest is next. A job with many
	// deliveries has 32 attempts under way, and beyond those it shares three quarters of
	// InFlight with other such jobs, by turns of the shares of their events. Default: 512.
	InFlight int

	// InFlightPerEndpoint is the most requests that this engine has under way at once
	// to the URL of a subscription that names no bound of its own. An endpoint that
	// throttles gets fewer for a while. Default: 32.
	InFlightPerEndpoint int

	// MaxInFlightPerEndpoint is the most requests that this engine has under way at once
	// to the URL of any subscription, whatever the subscription says: MaxInFlight of
	// Engine.Subscriptions, which refuses one that asks for more. For what is stored
	// already, the smaller of both is in force. At least InFlightPerEndpoint, at most 1000.
	// Default: 128, or InFlightPerEndpoint if that is more.
	MaxInFlightPerEndpoint int

	// MaxRate is how many events may be sent to any subscription in a time, over all engines:
	// MaxRate of Engine.Subscriptions, which refuses one that asks for more. For what is
	// stored already, the smaller of both is in force, and it is what a subscription has
	// that names no rate of its own. Default: no limit.
	MaxRate subscription.Rate

	// RateOf says how many events may be sent to all subscriptions of an owner together, in
	// a time, over all engines; the zero Rate is no limit, and what a Rate has too much is
	// cut off. An operator's subscriptions are not asked about. It is called several times
	// for each delivery that is about to be sent, from several goroutines; it must return at
	// once, without I/O, and the same rate for an owner in all engines. A change holds within
	// seconds. Where it panics, or Events is negative, which is logged once, the owner has no
	// limit. Default: owners have none.
	RateOf func(owner string) subscription.Rate

	// RequestBytes is the most bytes that the body of a request may have. A message
	// beyond it is not made: the decisions that wanted it are failed, at once and with
	// the reason, and can be made again by Engine.RetryFailed. Keep it above
	// outbox.Config.MaxDataBytes, since a dialect adds to the data. From 1 to 128 MiB.
	// Default: 16 MiB.
	RequestBytes int

	// ResponseBytes is how much of an answer's body is kept in the history.
	// Default: 16 KiB. -1 keeps nothing.
	ResponseBytes int

	// ShareOf names the share that the requests to a subscription belong to: whose turn they
	// take. The site is that of the subscription, as in the Recipient, whatever the site of
	// the event is: all deliveries of a subscription have one share. A tenant that can make
	// many sites and subscriptions should have one share. It is called once for each delivery
	// that is about to be sent, from several goroutines, and for each subscription with held
	// deliveries about once a second; it must return at once, without I/O, and the same name
	// for the same subscription in all engines. Where it returns "" or panics, which is
	// logged once, the share is that of the default. Default: the first segment of the
	// subscription's site, and for one at "/" its owner.
	ShareOf func(to Recipient, site hierarchy.Path) string

	// SubscriptionsPerOwner is how many subscriptions one owner may have by
	// Engine.Subscriptions: MaxPerOwner there. Default: 100. -1 is no limit.
	SubscriptionsPerOwner int

	// SubscriptionsPerSite is how many subscriptions there may be at one site by
	// Engine.Subscriptions: MaxPerSite there. Default: 1000. -1 is no limit.
	SubscriptionsPerSite int

	// Workers is the most River jobs that each queue of this engine works at once, 1 to
	// 10,000. A quarter more may be under way for shares whose turn it is, while the
	// workers are mostly busy. With fewer than InFlight slow answers to one share can keep
	// all of them busy. Default: 1000.
	Workers int
}

func (l *Limits) fill() {
	def(&l.BytesInFlight, payloads.DefaultBytes)
	def(&l.ChunkSize, 500)
	def(&l.FilterCostPerOwner, 200_000)
	def(&l.InFlight, 512)
	def(&l.InFlightPerEndpoint, 32)
	def(&l.MaxInFlightPerEndpoint, max(128, l.InFlightPerEndpoint))
	def(&l.RequestBytes, 16<<20)
	def(&l.ResponseBytes, 16<<10)
	def(&l.Workers, 1000)
}

// problem says what is wrong with a field; "" if nothing is.
func (l *Limits) problem() string {
	switch {
	case l.BytesInFlight < minBytesInFlight:
		return "BytesInFlight: must be at least 1 MiB"
	case l.ChunkSize < 1 || l.ChunkSize > 10_000:
		return "ChunkSize: must be 1 to 10,000"
	case l.FilterCostPerOwner < -1:
		return "FilterCostPerOwner: must be -1 or more"
	case l.InFlight < 1:
		return "InFlight: must be at least 1"
	case l.InFlightPerEndpoint < 1:
		return "InFlightPerEndpoint: must be at least 1"
	case l.MaxInFlightPerEndpoint < l.InFlightPerEndpoint || l.MaxInFlightPerEndpoint > mostInFlightPerEndpoint:
		return "MaxInFlightPerEndpoint: must be at least InFlightPerEndpoint, and at most 1000"
	case l.RequestBytes < 1 || l.RequestBytes > maxRequestBytes:
		return "RequestBytes: must be 1 to 128 MiB"
	case l.ResponseBytes < -1:
		return "ResponseBytes: must be -1 or more"
	case l.Workers < 1 || l.Workers > 10_000:
		return "Workers: must be 1 to 10,000"
	default:
		return ""
	}
}
