"""GET /: a page to try the service by hand."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

router = APIRouter(include_in_schema=False)

_PAGE = Path(__file__).resolve().parent / "static" / "index.html"


@router.get("/")
async def page() -> FileResponse:
    """One file, nothing loaded from elsewhere."""
    return FileResponse(_PAGE, media_type="text/html")
