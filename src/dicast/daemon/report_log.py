"""What a node reports, as log lines. Prompts and answers are never among them."""

from __future__ import annotations

from dicast.daemon.logs import Log
from dicast.daemon.subscriptions import Reports
from dicast.daemon.tellings import Told
from dicast.protocol.outputs import (
    AskRefused,
    CertificateReady,
    MemberProgress,
    PacketRefused,
    PeerSeen,
    Penalised,
    RoundDecided,
    RoundEnded,
    RoundOpened,
    RoundProgress,
    WorkProgress,
)


def log_reports(reports: Reports, log: Log) -> None:
    """Write a line for every report from now on."""
    reports.listen_now(lambda report: _write(report, log))


def _write(report: Told, log: Log) -> None:
    match report:
        case PeerSeen(node_id):
            log.info("peer_seen", peer=node_id[:12])
        case RoundOpened():
            log.info("round_opened", request=report.request_id[:12], members=len(report.members))
        case RoundDecided():
            verdict = report.verdict
            log.info(
                "round_decided",
                request=report.request_id[:12],
                outcome=verdict.outcome,
                reason=verdict.reason,
                agree=verdict.ball_size,
                need=verdict.need,
            )
        case CertificateReady():
            log.info("certificate_ready", request=report.request_id[:12], signed_seats=report.signed_seats)
        case RoundEnded():
            log.warning("round_ended", request=report.request_id[:12], code=report.code, reason=report.reason)
        case AskRefused():
            log.warning("ask_refused", code=report.code, reason=report.reason)
        case WorkProgress(request_id, "declined", detail):
            log.warning("work", request=request_id[:12], step="declined", detail=detail)
        case MemberProgress(request_id, member, "declined", detail):
            log.info("member", request=request_id[:12], member=member[:12], step="declined", detail=detail)
        case WorkProgress():
            log.info("work", request=report.request_id[:12], step=report.step, detail=report.detail)
        case Penalised(node_id, reason):
            log.warning("penalised", peer=node_id[:12], reason=reason)
        case PacketRefused(reason, carrier, author):
            log.debug("packet_refused", reason=reason, carrier=carrier, author=(author or "unknown")[:12])
        case RoundProgress(request_id, step, seats):
            log.debug("round_progress", request=request_id[:12], step=step, seats=seats)
        case MemberProgress(request_id, member, step, detail):
            log.debug("member", request=request_id[:12], member=member[:12], step=step, detail=detail)
        case _:
            pass  # told for those who watch
