package dialecttest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

// A call is what one request is made of. Those of calls have the same id, so that
// what is remembered by it shows.
type call struct {
	data   []byte
	secret dialect.Secret
	at     dialect.Attempt
}

func calls(c Case) []call {
	var out []call
	for i, secret := range c.Secrets {
		out = append(out, call{
			data:   []byte(`{"n": ` + strconv.Itoa(i) + `}`),
			secret: secret,
			at:     dialect.Attempt{Number: i + 1, At: attempt().At.Add(time.Duration(i) * time.Hour)},
		})
	}
	return out
}

func (x call) build(c Case) (dialect.Request, error) {
	msg, err := c.Dialect.Envelope(event(), x.data)
	if err != nil {
		return dialect.Request{}, fmt.Errorf("Envelope: %w", err)
	}
	return c.Dialect.Request(msg, destination(x.secret), x.at)
}

// checkState makes other requests before, between and at the same time: each must
// be its own, and the same each time.
func checkState(c Case) error {
	all := calls(c)
	first := make([]dialect.Request, len(all))
	for i, x := range all {
		var err error
		if first[i], err = x.build(c); err != nil {
			return fmt.Errorf("Request: %w", err)
		}
		if c.Verifier == nil {
			continue
		}
		if err := c.Verifier.Verify(first[i].Header, first[i].Body, []dialect.Secret{x.secret}, x.at.At); err != nil {
			return fmt.Errorf("a request that was made after another does not verify: %w", err)
		}
	}
	same := func(i int) error {
		again, err := all[i].build(c)
		if err == nil && !reflect.DeepEqual(again, first[i]) {
			err = fmt.Errorf("after other calls the same input gave another request: got %+v, want %+v", again, first[i])
		}
		return err
	}
	for i := range slices.Backward(all) {
		if err := same(i); err != nil {
			return err
		}
	}
	failures := make([]error, len(all))
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { failures[i] = same(i) })
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return fmt.Errorf("while others call: %w", err)
		}
	}
	return checkRememberedVerification(c, all, first)
}

// What a verifier has accepted once does not help what comes after it.
func checkRememberedVerification(c Case, all []call, requests []dialect.Request) error {
	if c.Verifier == nil {
		return nil
	}
	for i, r := range requests {
		other := requests[(i+1)%len(requests)].Body
		if bytes.Equal(r.Body, other) {
			continue // an envelope may leave the data out
		}
		if err := c.Verifier.Verify(r.Header, other, []dialect.Secret{all[i].secret}, all[i].at.At); err == nil {
			return fmt.Errorf("the body %q passes with the headers of %q, which passed before", other, r.Body)
		}
	}
	return nil
}
