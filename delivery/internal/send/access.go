package send

import (
	"context"
	"errors"
	"time"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
)

// authorize checks again whether the owner may see the resource, as it was checked before
// the first attempt.
func (p *Preflight) authorize(ctx context.Context, in *Input) *attempt.Transition {
	if in.DataLater {
		data, err := in.Payloads.Get(ctx, payloads.Data)
		if err != nil {
			return p.notLoaded(ctx, in, err)
		}
		in.Event.Data, in.DataLater = data, false
	}
	asked := time.Now() // before the place was found, which counts as well
	place, err := p.Finder.Locate(ctx, in.By, decide.LookupOf(in.IntentID, &in.Event, in.TreeVersion))
	if tr := in.NotCalled(err); tr != nil {
		return tr
	}
	if err != nil {
		return in.Postpone(p.TroubleWait(attempt.UndecidedWait), decide.PlaceReason(err))
	}
	requests := p.Access.AppendRequests(nil, in.Event, place, in.Sub.Owner, in.Sub.Permission)
	answers, _, err := p.Access.Check(ctx, in.By, requests)
	if err != nil {
		return in.NotCalled(err)
	}
	for i, err := range answers {
		if err == nil {
			continue
		}
		switch outcome, reason := decide.Refusal(err, requests[i]); {
		case outcome == decide.OutcomeDenied:
			return in.Cancel(callbacks.ReasonDenied + reason)
		case outcome == decide.OutcomeUnresolvable:
			return in.Cancel(callbacks.ReasonUnresolvable + reason)
		case errors.Is(err, access.ErrNoChecker):
			return p.missing(ctx, in, reason)
		default:
			return in.Postpone(p.TroubleWait(attempt.UndecidedWait), reason)
		}
	}
	in.AccessAt, in.Rechecked = asked, true
	return nil
}

// AccessIsOld says whether access has to be checked again.
func (r *Rereader) AccessIsOld(in *Input) bool {
	return !in.Sub.Operator && age(in.AccessAt, time.Now()) > r.cfg.MaxAccessAge
}
