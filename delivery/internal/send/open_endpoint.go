package send

import (
	"context"
	"errors"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
)

// openEndpoint opens the credentials, headers and TLS settings of an input. If that fails
// nothing is sent: another process may have the key, or this one soon; and if the
// subscription was changed since it was read it has to be read again.
func (p *Preflight) openEndpoint(ctx context.Context, in *Input) *attempt.Transition {
	err := OpenEndpoint(ctx, p.Opener, in)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, credentials.ErrChanged):
		return in.Postpone(attempt.ChangedWait, err.Error())
	case in.NotCalled(err) != nil:
		return in.NotCalled(err)
	}
	return p.notOpened(ctx, in, endpointUnopened, err)
}

// OpenEndpoint opens what the requests to the endpoint of an input carry.
func OpenEndpoint(ctx context.Context, opener *credentials.Opener, in *Input) (err error) {
	in.Auth, err = opener.Endpoint(ctx, in.By, credentials.Of{
		SubscriptionID: in.Sub.ID,
		URL:            in.Sub.URL,
		Version:        in.Sub.CredentialsVersion,
	})
	return err
}
