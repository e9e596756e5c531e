package inspect

import "keepword/inspect/starttls"

type (
	Step    = starttls.Step
	Outcome = starttls.Outcome
)

const (
	OutcomeUnknown    = starttls.OutcomeUnknown
	OutcomeUpgraded   = starttls.OutcomeUpgraded
	OutcomeRefused    = starttls.OutcomeRefused
	OutcomeNotOffered = starttls.OutcomeNotOffered
	OutcomeNotAsked   = starttls.OutcomeNotAsked
	OutcomeHidden     = starttls.OutcomeHidden
	OutcomeCorrected  = starttls.OutcomeCorrected
	OutcomeBroken     = starttls.OutcomeBroken
	OutcomeKilled     = starttls.OutcomeKilled
	StepOffered       = starttls.StepOffered
	StepHidden        = starttls.StepHidden
	StepAsked         = starttls.StepAsked
	StepAnswered      = starttls.StepAnswered
	StepCorrected     = starttls.StepCorrected
	StepClientHello   = starttls.StepClientHello
	StepServerHello   = starttls.StepServerHello
	StepOffloaded     = starttls.StepOffloaded
	Steps             = starttls.Steps
)
