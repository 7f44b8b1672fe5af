package dialect

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// CloudEvents returns the dialect "cloudevents": CloudEvents 1.0 over HTTP in
// structured mode, all of the event in the body, by [CloudEventsEnvelope].
// CloudEvents has no signature of its own; requests are signed by [StandardSigner],
// whose headers a receiver may ignore.
func CloudEvents() Dialect {
	return builtIn(&CustomConfig{Envelope: CloudEventsEnvelope{}.Structured, Name: "cloudevents"})
}

// CloudEventsBinary returns the dialect "cloudevents-binary": the same as
// [CloudEvents] in binary mode, with the data as the body and the attributes in ce-*
// headers. Of these the signature covers the id alone: where it matters who said what
// type an event has, use structured mode.
func CloudEventsBinary() Dialect {
	return builtIn(&CustomConfig{Envelope: CloudEventsEnvelope{}.Binary, Name: "cloudevents-binary"})
}

// CloudEventsVerifier returns the verifier of CloudEvents that are signed by Standard Webhooks,
// as [CloudEvents] and [CloudEventsBinary] are, in either mode: it is [StandardVerifier]. In binary mode it also
// needs the attributes that CloudEvents requires (ce-id, ce-source, ce-specversion,
// which must be 1.0, and ce-type), and ce-id must be the id that was signed.
func CloudEventsVerifier(opts *StandardOpts) Verifier {
	return cloudEventsVerifier{newStandardVerifier(opts)}
}

type cloudEventsVerifier struct {
	standardVerifier
}

var _ Identifier = cloudEventsVerifier{}

// Verify implements [Verifier].
func (v cloudEventsVerifier) Verify(h http.Header, body []byte, secrets []Secret, now time.Time) error {
	if err := v.standardVerifier.Verify(h, body, secrets, now); err != nil {
		return err
	}
	media, _, _ := mime.ParseMediaType(strings.Join(headerValues(h, "Content-Type"), ","))
	if strings.HasPrefix(media, "application/cloudevents") { // also a batch, and other formats than JSON
		return nil
	}
	attributes := map[string]string{}
	for _, name := range []string{"Ce-Id", "Ce-Source", "Ce-Specversion", "Ce-Type"} {
		value, err := oneHeader(h, name)
		if err != nil {
			return err
		}
		if attributes[name], err = url.PathUnescape(value); err != nil {
			return fmt.Errorf("%w: %s is not percent-encoded", ErrMalformed, name)
		}
	}
	if attributes["Ce-Specversion"] != cloudEventsVersion {
		return fmt.Errorf("%w: Ce-Specversion is not %s", ErrMalformed, cloudEventsVersion)
	}
	// It is one header: Standard Webhooks has refused the others.
	if attributes["Ce-Id"] != headerValues(h, headerWebhookID)[0] {
		return fmt.Errorf("%w: Ce-Id is not the id that was signed", ErrBadSignature)
	}
	return nil
}
