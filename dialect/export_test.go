package dialect

// DefaultTolerance is that of verifiers.
const DefaultTolerance = defaultTolerance

// EnvelopeServo is the envelope of Servo.
var EnvelopeServo Envelope = envelopeServo

// EnvelopeStripe is the envelope of Stripe.
var EnvelopeStripe Envelope = envelopeStripe
