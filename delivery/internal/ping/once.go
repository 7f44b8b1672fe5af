package ping

import (
	"context"
	"net/http"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/dialect"
)

// once makes one request outside a delivery. It waits for a slot of the process, and sends
// what prepare returns, which reads the subscription; it calls prepare again if it waited
// for long, or if the subscription was changed before the request went out. It returns the
// headers of the answer and what was read of its body; what came of the request is in the
// attempt that prepare returned last. With an error there was no request.
func (p *Pinger) once(
	ctx context.Context, prepare func() (*send.Input, dialect.Request, *attempt.Attempt, error),
) (header http.Header, body []byte, err error) {
	in, built, a, err := prepare()
	if err != nil {
		return nil, nil, err
	}
	turn, ok := p.Process.Await(ctx, slots.Share{Name: p.ShareOf(&in.Target), Urgent: true})
	if !ok {
		return nil, nil, context.Cause(ctx)
	}
	defer turn.Leave()
	again := p.Requester.Rereader.IsOld(in)
	for range send.MaxRereads {
		if again {
			if in, built, a, err = prepare(); err != nil {
				return nil, nil, err
			}
		}
		again = true
		if header, body = p.Requester.Send(ctx, in, built, a); !a.Overtaken {
			return header, body, nil
		}
	}
	return nil, nil, send.ErrOvertaken
}
