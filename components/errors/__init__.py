"""What can stand against a deployment, as types with facts.

Their texts name what is wrong, where, and Docker's own commands. What to type about a program's
settings is for that program to say, which knows their names:

    DeploymentError
      EngineError                  its cause is one of components.swarm.engine_errors
        EngineNotChosenError       settings, environment or docker contexts lead to none
      NetworkError
        NetworkMissingError
        NotAnOverlayError
        NetworkNotEncryptedError
      PlacementError
        NoNodeError                no usable node fits
        NodeUnknownError           no node, or several, have the name
        NodeNotNamedError          on another swarm, nobody but its owner knows the node
        NodeGoneError              the node has left the swarm
        NodeUnavailableError       the node is down, drained, paused, or doesn't fit
        DataElsewhereError         another node has the label
        LabelAmbiguousError        several nodes have the label
        LabelMovedError            the label isn't where the data are
        MoveCutOffError            nor is it so because a move wasn't ended
        LabelValueError            the label has a value that doesn't count
      LocationError
        VolumeWouldMoveError       another node would start with an empty volume
        VolumeReusedError          another driver or options, and the same name
        DataLeftBehindError        another place would start empty
        MoveUndoneError            a move has failed; the data are where they were
        AnotherSwarmError          the stack was deployed to another swarm
      CollisionError
        HostTakenError             requests for a host go to another stack
        HostSharedError            a part of them does
        NameTakenError             Traefik has the name from another stack
        PortTakenError
      AlreadyThereError            a service or network that the state doesn't know
      ImageMissingError
      ImageNotBuiltError
      ImageNotSharedError          nodes couldn't get what is built on one engine
      LittleSpaceError
      SecretTooLargeError
      StateUnreadableError
      PartialUpgradeError
      RolloutFailedError           a service doesn't come up, or its update was undone
      CombinedError
"""

from components.errors.base import CombinedError, DeploymentError, raise_all
from components.errors.collision import (
    AlreadyThereError,
    CollisionError,
    HostSharedError,
    HostTakenError,
    NameTakenError,
    PortTakenError,
)
from components.errors.deployment import (
    ImageMissingError,
    ImageNotBuiltError,
    ImageNotSharedError,
    LittleSpaceError,
    PartialUpgradeError,
    RolloutFailedError,
    SecretTooLargeError,
    StateUnreadableError,
)
from components.errors.engine import (
    EngineError,
    EngineNotChosenError,
)
from components.errors.location import (
    AnotherSwarmError,
    DataLeftBehindError,
    DataLocationError,
    LocationError,
    MoveUndoneError,
    VolumeReusedError,
    VolumeWouldMoveError,
)
from components.errors.network import (
    NetworkError,
    NetworkMissingError,
    NetworkNotEncryptedError,
    NotAnOverlayError,
)
from components.errors.placement import (
    DataElsewhereError,
    LabelAmbiguousError,
    LabelMovedError,
    LabelValueError,
    MoveCutOffError,
    NodeGoneError,
    NodeNotNamedError,
    NodeUnavailableError,
    NodeUnknownError,
    NoNodeError,
    PlacementError,
)

__all__ = [
    "AlreadyThereError",
    "AnotherSwarmError",
    "CollisionError",
    "CombinedError",
    "DataElsewhereError",
    "DataLeftBehindError",
    "DataLocationError",
    "DeploymentError",
    "EngineError",
    "EngineNotChosenError",
    "HostSharedError",
    "HostTakenError",
    "ImageMissingError",
    "ImageNotBuiltError",
    "ImageNotSharedError",
    "LabelAmbiguousError",
    "LabelMovedError",
    "LabelValueError",
    "LittleSpaceError",
    "LocationError",
    "MoveCutOffError",
    "MoveUndoneError",
    "NameTakenError",
    "NetworkError",
    "NetworkMissingError",
    "NetworkNotEncryptedError",
    "NoNodeError",
    "NodeGoneError",
    "NodeNotNamedError",
    "NodeUnavailableError",
    "NodeUnknownError",
    "NotAnOverlayError",
    "PartialUpgradeError",
    "PlacementError",
    "PortTakenError",
    "RolloutFailedError",
    "SecretTooLargeError",
    "StateUnreadableError",
    "VolumeReusedError",
    "VolumeWouldMoveError",
    "raise_all",
]
